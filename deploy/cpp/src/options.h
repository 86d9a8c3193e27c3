// The command line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "detector.h"

struct Options {
  std::filesystem::path networks;
  std::filesystem::path lung;
  Search search;
  double least = 0;  // probability from which a candidate is printed
  bool json_lines = false;
  std::optional<int> threads;
};

extern const char* const kUsage;

// Throws BadInput for what is not understood, and for what is missing.
Options read_options(int count, const char* const* words);
