#include "lung_file.h"

#include <cmath>
#include <fstream>
#include <locale>
#include <set>
#include <sstream>
#include <string>

#include "fault.h"

namespace {

constexpr std::int64_t kLongest = 4096;          // voxels along an axis
constexpr std::int64_t kMostVoxels = 1LL << 31;  // 8 GB of HU
constexpr double kSpacing = 1.0;                 // mm: the networks were made for it

struct Header {
  LungBox lung;
  std::string type;
};

// Read the values of one line; all of them, and no more.
template <typename Values>
void read_values(std::istringstream& line, Values& values, const std::string& what) {
  for (auto& value : values) {
    line >> value;
  }
  std::string more;
  if (line.fail() || line >> more) {
    throw BadInput(what);
  }
}

std::int64_t voxels_of(const Shape& shape, const std::string& name) {
  std::int64_t voxels = 1;
  for (const auto edge : shape) {
    if (edge < 1 || edge > kLongest) {
      throw BadInput(name + ": shape needs three sizes of 1 to " + std::to_string(kLongest));
    }
    voxels *= edge;
  }
  if (voxels > kMostVoxels) {
    throw BadInput(name + ": " + std::to_string(voxels) + " voxels, and at most " + std::to_string(kMostVoxels) +
                   " are read");
  }
  return voxels;
}

void require_complete(const Header& header, const std::string& name) {
  voxels_of(header.lung.shape, name);
  if (header.lung.spacing_mm != kSpacing) {
    throw BadInput(name + ": spacing_mm has to be 1, the grid that the networks were made for");
  }
  if (header.type != "float32" && header.type != "int16") {
    throw BadInput(name + ": type has to be float32 or int16");
  }
}

Header read_header(const std::filesystem::path& path) {
  const auto name = path.string();
  std::ifstream stream(path);
  std::string line;
  if (!stream) {
    throw BadInput(name + " cannot be read");
  }
  if (!std::getline(stream, line) || line != "triptych-lung 1") {
    throw BadInput(name + " does not begin with the line: triptych-lung 1");
  }
  Header header;
  std::set<std::string> keys;
  header.lung.origin_mm.fill(std::nan(""));
  while (std::getline(stream, line)) {
    std::istringstream words(line);
    words.imbue(std::locale::classic());
    std::string key;
    words >> key;
    const auto what = name + ": the line \"" + line.substr(0, 80) + "\" is not understood";
    if (!keys.insert(key).second) {
      throw BadInput(name + ": " + key + " stands there twice");
    }
    if (key == "shape") {
      read_values(words, header.lung.shape, what);
    } else if (key == "spacing_mm") {
      std::array<double, 1> spacing{};
      read_values(words, spacing, what);
      header.lung.spacing_mm = spacing[0];
    } else if (key == "origin_mm") {
      read_values(words, header.lung.origin_mm, what);
    } else if (key == "type") {
      std::array<std::string, 1> type;
      read_values(words, type, what);
      header.type = type[0];
    } else {
      throw BadInput(what);
    }
  }
  for (const auto value : header.lung.origin_mm) {
    if (!std::isfinite(value)) {
      throw BadInput(name + ": origin_mm needs three numbers");
    }
  }
  require_complete(header, name);
  return header;
}

template <typename Voxel>
std::vector<Voxel> read_voxels(const std::filesystem::path& path, std::int64_t count) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  const auto wanted = static_cast<std::uintmax_t>(count) * sizeof(Voxel);
  if (error) {
    throw BadInput(path.string() + " cannot be read");
  }
  if (bytes != wanted) {
    throw BadInput(path.string() + " has " + std::to_string(bytes) + " bytes, and its header says " +
                   std::to_string(wanted));
  }
  std::vector<Voxel> voxels(static_cast<std::size_t>(count));
  std::ifstream stream(path, std::ios::binary);
  if (!stream.read(reinterpret_cast<char*>(voxels.data()), static_cast<std::streamsize>(wanted))) {
    throw BadInput(path.string() + " cannot be read");
  }
  return voxels;
}

std::vector<float> read_hu(const std::filesystem::path& path, std::int64_t count, const std::string& type) {
  if (type == "int16") {
    const auto voxels = read_voxels<std::int16_t>(path, count);
    return {voxels.begin(), voxels.end()};
  }
  auto voxels = read_voxels<float>(path, count);
  for (const auto hu : voxels) {
    if (!std::isfinite(hu)) {
      throw BadInput(path.string() + " holds values that are not finite (NaN or infinity)");
    }
  }
  return voxels;
}

}  // namespace

LungBox read_lung(const std::filesystem::path& header) {
  auto [lung, type] = read_header(header);
  const auto count = voxels_of(lung.shape, header.string());
  auto beside = header;
  lung.hu = read_hu(beside.replace_extension(".hu"), count, type);
  lung.mask = read_voxels<std::uint8_t>(beside.replace_extension(".mask"), count);
  for (auto& voxel : lung.mask) {
    voxel = voxel != 0 ? 1 : 0;
  }
  return lung;
}
