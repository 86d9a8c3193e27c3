// From a network's output to marks; as `peaks` in apps/nodule/models/heatmap.py.
#pragma once

#include <vector>

#include "grid.h"
#include "suppress.h"

constexpr int kStride = 4;  // voxels that a cell spans

// A cell's values: logit of a centre, offset along D, H, W in cells, log of the diameter in mm.
constexpr std::size_t kValues = 5;

float sigmoid(float logit);

// Diameter in mm of its logarithm, 2 to 60.
double diameter_of(float logarithm);

// Return the local maxima of a heat map (5, d, h, w), best first, at most `most`, each with a score of at least `floor`.
std::vector<Mark> peaks(const std::vector<float>& output, const Shape& cells, std::size_t most, float floor);
