#include "instructions.h"

#include <sys/utsname.h>

#include <sstream>

namespace {

bool has(const std::string& set) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (set == "AVX2") {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
  if (set == "AVX512") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  }
  if (set == "AVX512_VNNI") {
    return __builtin_cpu_supports("avx512vnni");
  }
  return false;
#else
  // of the other machines every instruction set that PyTorch compiles for is a baseline
  return set == "ASIMD" || set == "NEON";
#endif
}

}  // namespace

std::string lacking_instructions(const std::string& machine, const std::string& sets) {
  utsname own{};
  if (!machine.empty() && uname(&own) == 0 && machine != own.machine) {
    return machine;
  }
  std::istringstream words(sets);
  for (std::string set; words >> set;) {
    if (set != "INVALID_VEC_ISA" && !has(set)) {
      return set;
    }
  }
  return "";
}
