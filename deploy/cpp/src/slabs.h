// Slabs that cover the lungs, small enough for the memory; as apps/nodule/models/tiling.py.
#pragma once

#include <vector>

#include "grid.h"

// box: what the network sees; low, high: voxels whose peaks count.
struct Slab {
  Box box;
  Shape low{};
  Shape high{};
};

// Return slabs of `depth` slices along D, one for each side of the body, cut to what the mask fills, with a halo.
std::vector<Slab> slabs_of(const LungBox& lung, std::int64_t depth);
