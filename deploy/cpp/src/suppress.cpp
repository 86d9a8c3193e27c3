#include "suppress.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr double kAlwaysOne = 2.0;

double distance(const Point& a, const Point& b) {
  return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
}

}  // namespace

std::vector<Mark> suppressed(std::vector<Mark> marks) {
  std::stable_sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) { return a.score > b.score; });
  std::vector<Mark> kept;
  for (const auto& mark : marks) {
    const auto repeats = [&](const Mark& better) {
      const auto reach = std::max(std::max(better.diameter, mark.diameter) / 2, kAlwaysOne);
      return distance(better.centre, mark.centre) < reach;
    };
    if (std::none_of(kept.begin(), kept.end(), repeats)) {
      kept.push_back(mark);
    }
  }
  return kept;
}
