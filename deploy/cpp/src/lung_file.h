// A lung on disk: a header in text, and two files of raw voxels beside it.
//
//   chest.lung     triptych-lung 1
//                  shape 214 250 330              slices, rows, columns
//                  spacing_mm 1
//                  origin_mm -161.5 -132.25 -300  LPS of the first voxel
//                  type float32                   of the HU: float32 or int16
//   chest.hu       HU, little-endian, columns fastest
//   chest.mask     one byte a voxel, 0 outside the lungs
//
// apps/nodule/data/raw_volume.py writes it.
#pragma once

#include <filesystem>

#include "grid.h"

// Throws BadInput: a file is missing, of another size than the header says, or holds what is not finite.
LungBox read_lung(const std::filesystem::path& header);
