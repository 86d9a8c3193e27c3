#include "grid.h"

#include <algorithm>

namespace {

std::vector<std::int64_t> clamped(std::int64_t first, std::int64_t count, std::int64_t end) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    indices[static_cast<std::size_t>(i)] = std::clamp<std::int64_t>(first + i, 0, end - 1);
  }
  return indices;
}

float normalised(float hu) { return (std::clamp(hu, -1000.0F, 400.0F) + 300.0F) / 700.0F; }

}  // namespace

void cut_normalised(const LungBox& lung, const Box& box, float* out) {
  const auto slices = clamped(box.first[0], box.size[0], lung.shape[0]);
  const auto rows = clamped(box.first[1], box.size[1], lung.shape[1]);
  const auto columns = clamped(box.first[2], box.size[2], lung.shape[2]);
  for (const auto d : slices) {
    for (const auto h : rows) {
      for (const auto w : columns) {
        *out++ = normalised(lung.hu[lung.at(d, h, w)]);
      }
    }
  }
}

Point to_world(const LungBox& lung, const Point& index) {
  Point world{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    world[axis] = index[2 - axis] * lung.spacing_mm + lung.origin_mm[axis];
  }
  return world;
}
