#include "slabs.h"

#include <algorithm>
#include <utility>

namespace {

constexpr Shape kHalo = {8, 4, 4};
constexpr std::int64_t kMultiple = 8;

// Which voxels of the plane (H, W) the mask fills in any of the slices.
std::vector<std::uint8_t> filled(const LungBox& lung, std::int64_t start, std::int64_t stop) {
  const auto area = static_cast<std::size_t>(lung.shape[1] * lung.shape[2]);
  std::vector<std::uint8_t> plane(area, 0);
  for (auto d = start; d < stop; ++d) {
    const auto* slice = lung.mask.data() + lung.at(d, 0, 0);
    for (std::size_t i = 0; i < area; ++i) {
      plane[i] |= slice[i];
    }
  }
  return plane;
}

// Where the columns are split: where the mask is thinnest, near the middle, between the lungs.
std::int64_t middle_of(const std::vector<std::uint8_t>& plane, std::int64_t height, std::int64_t width) {
  const auto third = width / 3;
  if (third == 0) {
    return width;
  }
  std::vector<std::int64_t> filled_rows(static_cast<std::size_t>(width), 0);
  for (std::int64_t h = 0; h < height; ++h) {
    for (std::int64_t w = 0; w < width; ++w) {
      filled_rows[static_cast<std::size_t>(w)] += plane[static_cast<std::size_t>(h * width + w)];
    }
  }
  return std::min_element(filled_rows.begin() + third, filled_rows.end() - third) - filled_rows.begin();
}

Box with_halo(const Shape& low, const Shape& high) {
  Box box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.first[axis] = low[axis] - kHalo[axis];
    const auto size = high[axis] + kHalo[axis] - box.first[axis];
    box.size[axis] = (size + kMultiple - 1) / kMultiple * kMultiple;
  }
  return box;
}

// Add the slab of the columns left..right, where the mask fills any of them.
void add_side(std::vector<Slab>& slabs, const std::vector<std::uint8_t>& plane, const Shape& shape,
              std::pair<std::int64_t, std::int64_t> slices, std::int64_t left, std::int64_t right) {
  Slab slab;
  slab.low = {slices.first, shape[1], right};
  slab.high = {slices.second, 0, left};
  for (std::int64_t h = 0; h < shape[1]; ++h) {
    for (auto w = left; w < right; ++w) {
      if (plane[static_cast<std::size_t>(h * shape[2] + w)] != 0) {
        slab.low[1] = std::min(slab.low[1], h);
        slab.low[2] = std::min(slab.low[2], w);
        slab.high[1] = std::max(slab.high[1], h + 1);
        slab.high[2] = std::max(slab.high[2], w + 1);
      }
    }
  }
  if (slab.high[1] > slab.low[1]) {
    slab.box = with_halo(slab.low, slab.high);
    slabs.push_back(slab);
  }
}

}  // namespace

std::vector<Slab> slabs_of(const LungBox& lung, std::int64_t depth) {
  const auto area = static_cast<std::size_t>(lung.shape[1] * lung.shape[2]);
  const auto is_set = [](std::uint8_t voxel) { return voxel != 0; };
  const auto first = std::find_if(lung.mask.begin(), lung.mask.end(), is_set);
  std::vector<Slab> slabs;
  if (first == lung.mask.end()) {
    return slabs;
  }
  const auto last = std::find_if(lung.mask.rbegin(), lung.mask.rend(), is_set).base() - 1;
  const auto slice_of = [&](auto voxel) {
    return static_cast<std::int64_t>(static_cast<std::size_t>(voxel - lung.mask.begin()) / area);
  };
  const auto end = slice_of(last) + 1;
  for (auto start = slice_of(first); start < end; start += depth) {
    const auto stop = std::min(start + depth, end);
    const auto plane = filled(lung, start, stop);
    const auto middle = middle_of(plane, lung.shape[1], lung.shape[2]);
    add_side(slabs, plane, lung.shape, {start, stop}, 0, middle);
    add_side(slabs, plane, lung.shape, {start, stop}, middle, lung.shape[2]);
  }
  return slabs;
}
