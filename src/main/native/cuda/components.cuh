// Components of gradients along the bases that an optimizer's step must leave alone.
#pragma once

#include "arguments.hpp"

namespace holdfast {

// Where tensor i's components lie in the scratch, i never falling.
class ComponentCursor {
 public:
  ComponentCursor(const hf_adamw_tensor *tensors, char *scratch) : next_(tensors), at_(scratch) {}

  float *at(const hf_adamw_tensor *tensor) {
    for (; next_ < tensor; next_++) at_ += component_bytes(*next_);
    return reinterpret_cast<float *>(at_);
  }

 private:
  const hf_adamw_tensor *next_;
  char *at_;
};

// Writes basis^T gradient, [k, c], of each tensor with a basis, one after another.
int32_t gather_components(const hf_adamw_tensor *tensors, int64_t count, char *scratch,
                          void *stream);

}  // namespace holdfast
