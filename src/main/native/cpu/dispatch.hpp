#pragma once

#include "kernels.hpp"

namespace holdfast {

// The kernels for this machine: the widest set that it has, or the one that the environment
// variable HOLDFAST_ISA names (baseline, avx2, avx512, avx512_bf16), if the machine has it.
const KernelTable &kernels();

}  // namespace holdfast
