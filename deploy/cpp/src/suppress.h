// One mark for each nodule.
#pragma once

#include <cstddef>
#include <vector>

#include "grid.h"

// A centre that may be a nodule's. centre: voxels (d, h, w), diameter: voxels of 1 mm, score: 0 to 1.
struct Mark {
  Point centre{};
  double diameter = 0;
  float score = 0;
};

// Return the marks kept, best first: a centre within the radius of a better one, or within 2 voxels, is the same nodule.
std::vector<Mark> suppressed(std::vector<Mark> marks);
