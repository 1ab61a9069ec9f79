// SPDX-License-Identifier: Apache-2.0
#include "format.cuh"

SPARSE_FORMAT(I4_24_64)
