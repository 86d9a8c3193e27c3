#include "detector.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "fault.h"
#include "heatmap.h"
#include "slabs.h"
#include "suppress.h"

namespace {

constexpr std::size_t kFewest = 30;
constexpr std::size_t kMost = 100;
constexpr std::size_t kPeaks = 400;  // considered in a slab
constexpr float kProposalFloor = 0.01F;
constexpr std::int64_t kCrop = 40;  // voxels along an edge of a judged cube
constexpr std::size_t kJudgedAtOnce = 8;
constexpr std::int64_t kOutside = 3;  // voxels: a centre this far outside the lungs is dropped

// Whether the mask is set at a voxel, or a few voxels away along an axis.
bool is_near(const LungBox& lung, const Point& centre) {
  Shape at;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    at[axis] = std::clamp<std::int64_t>(std::llrint(centre[axis]), 0, lung.shape[axis] - 1);
  }
  const auto is_lung = [&](const Shape& voxel) { return lung.mask[lung.at(voxel[0], voxel[1], voxel[2])] != 0; };
  if (is_lung(at)) {
    return true;
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (const auto step : {-kOutside, kOutside}) {
      auto moved = at;
      moved[axis] = std::clamp<std::int64_t>(moved[axis] + step, 0, lung.shape[axis] - 1);
      if (is_lung(moved)) {
        return true;
      }
    }
  }
  return false;
}

// Whether a peak belongs to the slab: that which holds its cell's middle.
bool is_of(const Slab& slab, const Point& centre) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto reach = kStride / 2.0;
    const auto low = static_cast<double>(slab.low[axis]) - reach;
    const auto high = static_cast<double>(slab.high[axis]) + reach;
    if (centre[axis] < low || centre[axis] >= high) {
      return false;
    }
  }
  return true;
}

void require_valid(const Array& output, const std::vector<std::int64_t>& wanted, const char* name) {
  if (output.sizes != wanted) {
    throw BadInput(std::string("the network ") + name + " returns another shape than the detector's " + name);
  }
  if (!std::all_of(output.values.begin(), output.values.end(), [](float value) { return std::isfinite(value); })) {
    throw BadInput(std::string("the network ") + name + " returns values that are not finite");
  }
}

void propose_in(const LungBox& lung, const Slab& slab, Network& proposal, std::size_t most, std::vector<Mark>& marks) {
  const auto& size = slab.box.size;
  Array input{std::vector<float>(slab.box.voxels()), {1, 1, size[0], size[1], size[2]}};
  cut_normalised(lung, slab.box, input.values.data());
  const auto output = proposal(input);
  const Shape cells = {size[0] / kStride, size[1] / kStride, size[2] / kStride};
  require_valid(output, {1, static_cast<std::int64_t>(kValues), cells[0], cells[1], cells[2]}, "proposal");
  for (auto& mark : peaks(output.values, cells, most, kProposalFloor)) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      mark.centre[axis] += static_cast<double>(slab.box.first[axis]);
    }
    if (is_of(slab, mark.centre) && is_near(lung, mark.centre)) {
      marks.push_back(mark);
    }
  }
}

std::vector<Mark> propose(const LungBox& lung, Network& proposal, const Search& search) {
  std::vector<Mark> marks;
  const auto most = std::max(search.most.value_or(kMost), kPeaks);
  for (const auto& slab : slabs_of(lung, search.tile)) {
    propose_in(lung, slab, proposal, most, marks);
  }
  return suppressed(std::move(marks));
}

// How many proposals are judged; a probability is the root of two shares, of which a proposal's score is one.
std::size_t judged(const std::vector<Mark>& proposals, const Search& search) {
  const auto least = static_cast<float>(search.threshold * search.threshold);
  const auto likely = static_cast<std::size_t>(std::count_if(
      proposals.begin(), proposals.end(), [&](const Mark& mark) { return mark.score >= least; }));
  return search.most.value_or(std::min(std::max(likely, kFewest), kMost));
}

Box cube_around(const Point& centre) {
  Box cube;
  cube.size = {kCrop, kCrop, kCrop};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    cube.first[axis] = std::llrint(centre[axis] - (kCrop - 1) / 2.0);
  }
  return cube;
}

std::vector<Mark> judge_all(const LungBox& lung, const std::vector<Mark>& proposals, Network& judge) {
  std::vector<Mark> marks;
  for (std::size_t start = 0; start < proposals.size(); start += kJudgedAtOnce) {
    const auto count = std::min(kJudgedAtOnce, proposals.size() - start);
    std::vector<Box> cubes;
    for (std::size_t i = 0; i < count; ++i) {
      cubes.push_back(cube_around(proposals[start + i].centre));
    }
    const auto batch = static_cast<std::int64_t>(count);
    Array input{std::vector<float>(count * cubes[0].voxels()), {batch, 1, kCrop, kCrop, kCrop}};
    for (std::size_t i = 0; i < count; ++i) {
      cut_normalised(lung, cubes[i], input.values.data() + i * cubes[i].voxels());
    }
    const auto output = judge(input);
    require_valid(output, {batch, static_cast<std::int64_t>(kValues)}, "judge");
    for (std::size_t i = 0; i < count; ++i) {
      const auto* verdict = output.values.data() + i * kValues;
      Mark mark;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto middle = static_cast<double>(cubes[i].first[axis]) + (kCrop - 1) / 2.0;
        mark.centre[axis] = middle + verdict[axis + 1] * kStride;
      }
      mark.diameter = diameter_of(verdict[4]);
      mark.score = std::sqrt(sigmoid(verdict[0]) * proposals[start + i].score);
      marks.push_back(mark);
    }
  }
  return marks;
}

}  // namespace

std::vector<Candidate> find_nodules(const LungBox& lung, Network& proposal, Network& judge, const Search& search,
                                    double least) {
  auto proposals = propose(lung, proposal, search);
  proposals.resize(std::min(proposals.size(), judged(proposals, search)));
  std::vector<Candidate> candidates;
  for (const auto& mark : suppressed(judge_all(lung, proposals, judge))) {
    if (mark.score >= static_cast<float>(least)) {
      candidates.push_back({to_world(lung, mark.centre), mark.diameter * lung.spacing_mm, mark.score});
    }
  }
  return candidates;
}
