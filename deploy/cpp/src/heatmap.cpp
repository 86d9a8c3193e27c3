#include "heatmap.h"

#include <algorithm>
#include <cmath>

namespace {

// Whether no neighbour of a cell has a higher score.
bool is_peak(const std::vector<float>& scores, const Shape& cells, const Shape& cell) {
  const auto index = [&](std::int64_t d, std::int64_t h, std::int64_t w) {
    return static_cast<std::size_t>((d * cells[1] + h) * cells[2] + w);
  };
  const auto own = scores[index(cell[0], cell[1], cell[2])];
  Shape low;
  Shape high;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    low[axis] = std::max<std::int64_t>(cell[axis] - 1, 0);
    high[axis] = std::min<std::int64_t>(cell[axis] + 1, cells[axis] - 1);
  }
  for (auto d = low[0]; d <= high[0]; ++d) {
    for (auto h = low[1]; h <= high[1]; ++h) {
      for (auto w = low[2]; w <= high[2]; ++w) {
        if (scores[index(d, h, w)] > own) {
          return false;
        }
      }
    }
  }
  return true;
}

}  // namespace

float sigmoid(float logit) { return 1.0F / (1.0F + std::exp(-logit)); }

double diameter_of(float logarithm) {
  return std::exp(std::clamp(static_cast<double>(logarithm), std::log(2.0), std::log(60.0)));
}

std::vector<Mark> peaks(const std::vector<float>& output, const Shape& cells, std::size_t most, float floor) {
  const auto count = static_cast<std::size_t>(cells[0] * cells[1] * cells[2]);
  std::vector<float> scores(count);
  std::transform(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(count), scores.begin(), sigmoid);
  std::vector<Mark> marks;
  for (std::size_t i = 0; i < count; ++i) {
    const auto index = static_cast<std::int64_t>(i);
    const Shape cell = {index / (cells[1] * cells[2]), index / cells[2] % cells[1], index % cells[2]};
    if (scores[i] < floor || !is_peak(scores, cells, cell)) {
      continue;
    }
    Mark mark;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const auto offset = output[(axis + 1) * count + i];
      mark.centre[axis] = (static_cast<float>(cell[axis]) + offset) * kStride + (kStride - 1) / 2.0F;
    }
    mark.diameter = diameter_of(output[4 * count + i]);
    mark.score = scores[i];
    marks.push_back(mark);
  }
  std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) { return a.score > b.score; });
  marks.resize(std::min(marks.size(), most));
  return marks;
}
