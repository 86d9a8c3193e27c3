// An exported network: TorchScript (.pt) or compiled by AOTInductor (.pt2).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

// Values in row-major order, and the size of each axis.
struct Array {
  std::vector<float> values;
  std::vector<std::int64_t> sizes;
};

class Network {
 public:
  virtual ~Network() = default;

  // Return the output for one input. Throws BadInput where the network does not take it.
  virtual Array operator()(const Array& input) = 0;
};

// Open FOLDER/NAME.pt2 or FOLDER/NAME.pt. Throws BadInput: neither is there, damaged, compiled for another processor.
std::unique_ptr<Network> open_network(const std::filesystem::path& folder, const std::string& name);

// Set how many threads the networks compute on.
void set_threads(int count);
