// SPDX-License-Identifier: Apache-2.0
// Opcodes shared by integers and floats are sorted by type; each family decodes its own.
#pragma once

#include "decode.h"

namespace lacuna::emulator {

void integerArithmetic(Decoder& d, Type t);
void floatArithmetic(Decoder& d, Type t);
void halfArithmetic(Decoder& d, Type t);

}  // namespace lacuna::emulator
