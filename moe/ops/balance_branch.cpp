#include "moe/ops/balance_branch.hpp"

#include "core/kernels/accumulate.hpp"
#include "core/kernels/matmul.hpp"

namespace granule {

Tensor BalanceBranch::forward(Saved* saved, const Tensor& logit_NE, const Tensor& x_ND) const {
  GRANULE_CHECK(logit_NE.shape()[0] == x_ND.shape()[0], "balance_branch: {} rows of logits, {} of inputs",
                logit_NE.shape()[0], x_ND.shape()[0]);
  if (saved != nullptr) *saved = {x_ND};
  return logit_NE;  // nothing writes into a tensor that others have, so it can also be the output
}

void BalanceBranch::backward(const Saved& saved, const Tensor& dy_NE, const Grad& dlogit_NE) const {
  if (share_ED.defined())
    matmul(kName, dy_NE, Transpose::yes, widened(saved.x_ND), Transpose::no, {share_ED, 1.0});
  if (dlogit_NE) accumulate(dy_NE, dlogit_NE);
}

}  // namespace granule
