// What is wrong with an input, in one line for people; the program ends with code 2.
#pragma once

#include <stdexcept>

struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};
