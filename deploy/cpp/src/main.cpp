// Find nodules in a lung with exported networks, and print them; the command line is in options.h.
//
// Exit codes as those of Triptych's commands: 0 done, 2 an input cannot be used, 3 a defect of the program.

#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>

#include "detector.h"
#include "fault.h"
#include "lung_file.h"
#include "network.h"
#include "options.h"

namespace {

constexpr int kDone = 0;
constexpr int kBadInput = 2;
constexpr int kDefect = 3;

void print(const std::vector<Candidate>& candidates, bool json_lines) {
  const auto* const row = json_lines ? "{\"x_mm\": %.6f, \"y_mm\": %.6f, \"z_mm\": %.6f, \"diameter_mm\": %.6f, "
                                       "\"probability\": %.6f}\n"
                                     : "%.6f,%.6f,%.6f,%.6f,%.6f\n";
  if (!json_lines) {
    std::puts("x_mm,y_mm,z_mm,diameter_mm,probability");
  }
  for (const auto& [centre, diameter, probability] : candidates) {
    std::printf(row, centre[0], centre[1], centre[2], diameter, static_cast<double>(probability));
  }
  if (std::fflush(stdout) != 0) {
    throw BadInput("the output cannot be written");
  }
}

void run(const Options& options) {
  if (options.threads) {
    set_threads(*options.threads);
  }
  const auto lung = read_lung(options.lung);
  const auto proposal = open_network(options.networks, "proposal");
  const auto judge = open_network(options.networks, "judge");
  print(find_nodules(lung, *proposal, *judge, options.search, options.least), options.json_lines);
}

}  // namespace

int main(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "--help") == 0) {
    std::fputs(kUsage, stdout);
    return kDone;
  }
  try {
    run(read_options(count, words));
    return kDone;
  } catch (const BadInput& fault) {
    std::cerr << "nodules: " << fault.what() << '\n';
    return kBadInput;
  } catch (const std::bad_alloc&) {
    std::cerr << "nodules: the lung does not fit into the memory\n";
    return kBadInput;
  } catch (const std::exception& error) {
    std::cerr << "nodules: " << error.what() << '\n';
    return kDefect;
  }
}
