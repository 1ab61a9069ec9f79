// SPDX-License-Identifier: Apache-2.0
#include "format.cuh"

INTEGER_FORMAT(I8_ROW)
