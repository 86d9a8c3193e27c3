// Voxels on a regular grid, and boxes cut out of it. Indices are in (d, h, w) order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

using Shape = std::array<std::int64_t, 3>;
using Point = std::array<double, 3>;

// HU of the box around the lungs, and which of its voxels are lung.
// origin_mm: LPS (x, y, z) of voxel (0, 0, 0); D runs to the head (+z), H to the back (+y), W to the left (+x).
struct LungBox {
  Shape shape{};
  double spacing_mm = 0;
  Point origin_mm{};
  std::vector<float> hu;
  std::vector<std::uint8_t> mask;

  std::size_t at(std::int64_t d, std::int64_t h, std::int64_t w) const {
    return static_cast<std::size_t>((d * shape[1] + h) * shape[2] + w);
  }
};

// A part of the grid that may reach beyond it.
struct Box {
  Shape first{};
  Shape size{};

  std::size_t voxels() const { return static_cast<std::size_t>(size[0] * size[1] * size[2]); }
};

// Write a box to `out` as the networks take it: HU -1000..400 mapped to -1..1, clipped; beyond the grid its border is
// repeated.
void cut_normalised(const LungBox& lung, const Box& box, float* out);

// LPS mm (x, y, z) of an index (d, h, w).
Point to_world(const LungBox& lung, const Point& index);
