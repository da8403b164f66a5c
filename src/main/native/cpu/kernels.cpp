// Compiled once for each instruction set, with HF_TABLE, HF_NAME and HF_LANES set by CMake.
#include "kernels.hpp"

#include "block.hpp"
#include "optimizer.hpp"
#include "softmax.hpp"
#include "subspace.hpp"

namespace holdfast {

extern const KernelTable HF_TABLE;
const KernelTable HF_TABLE = {
    HF_NAME,          kLanes,      pack,           project,      ablate,
    constrain,        ce_kl_stats, ce_kl_merge,    ce_kl_losses, ce_kl_gradient,
    adamw_components, adamw_row,   sum_of_squares, rms_norm,     rms_norm_backward,
    rotate,           gate,        gate_backward};

}  // namespace holdfast
