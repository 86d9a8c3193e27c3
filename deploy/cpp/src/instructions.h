// Which instruction sets this processor has.
#pragma once

#include <string>

// Return what is lacking to run code compiled for a machine ("x86_64") and instruction sets ("AVX512 AMX_TILE", as
// PyTorch writes them); empty where nothing is.
std::string lacking_instructions(const std::string& machine, const std::string& sets);
