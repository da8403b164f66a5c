// An AdamW step's numbers as PyTorch rounds them: computed in double, used in float32.
#pragma once

#include <cmath>

#include "holdfast.h"

namespace holdfast {

struct AdamwScalars {
  float take1;         // 1 - beta1
  float keep2, take2;  // beta2 and 1 - beta2
  float step_size;     // lr / (1 - beta1^t)
  float root;          // 1 / sqrt(1 - beta2^t)
  float eps;
  float gradient_scale;
};

inline AdamwScalars adamw_scalars(const hf_adamw_step &step) {
  const auto t = static_cast<double>(step.step);
  AdamwScalars s;
  s.take1 = static_cast<float>(1 - step.beta1);
  s.keep2 = static_cast<float>(step.beta2);
  s.take2 = static_cast<float>(1 - step.beta2);
  s.step_size = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t)));
  s.root = static_cast<float>(1 / std::sqrt(1 - std::pow(step.beta2, t)));
  s.eps = static_cast<float>(step.eps);
  s.gradient_scale = static_cast<float>(step.gradient_scale);
  return s;
}

}  // namespace holdfast
