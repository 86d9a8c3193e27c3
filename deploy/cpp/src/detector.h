// The detector's search for nodules; as `CompactDetector.nodules` in apps/nodule/models/compact_detector.py.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "grid.h"
#include "network.h"

// centre_mm: LPS (x, y, z). diameter_mm: of the sphere of equal volume. probability: 0 to 1.
struct Candidate {
  Point centre_mm{};
  double diameter_mm = 0;
  float probability = 0;
};

// threshold: probability from which a candidate is a finding. most: candidates judged; 30, or up to 100 where more may
// be findings, where there is none. tile: slices that the proposal network sees at once.
struct Search {
  double threshold = 0;
  std::optional<std::size_t> most;
  std::int64_t tile = 160;
};

// Return the candidates of a lung by falling probability, from `least` on.
std::vector<Candidate> find_nodules(const LungBox& lung, Network& proposal, Network& judge, const Search& search,
                                    double least);
