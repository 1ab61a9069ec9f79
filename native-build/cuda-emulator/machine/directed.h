// SPDX-License-Identifier: Apache-2.0
// Arithmetic that rounds towards zero or an infinity: rare in kernels, so done by the host's rounding mode.
#pragma once

#include <string>

#include "program.h"

namespace lacuna::emulator {

/// rounding: 1 towards zero, 2 down, 3 up. Null when the operation has no such form. flags of the instruction: 1 flush
/// subnormals, 2 saturate.
Run directedFloat(const std::string& op, int rounding);
Run directedDouble(const std::string& op, int rounding);

float narrowDirected(double v, int rounding);
float toFloatDirected(std::int64_t v, int rounding);
float toFloatDirected(std::uint64_t v, int rounding);
double toDoubleDirected(std::int64_t v, int rounding);
double toDoubleDirected(std::uint64_t v, int rounding);

}  // namespace lacuna::emulator
