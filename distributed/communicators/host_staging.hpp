// How tensors on a device take part in a collective: through memory of the host. The input is read back, the
// communicator carries it as it carries any tensor on the host, and the output is written to the device when
// the collective has ended. This works for every device and every communicator. A carrier of a device's own,
// such as NCCL, belongs beside it: Communicator::carry() takes one or the other.
#pragma once
#include <memory>

#include "distributed/communicators/collective.hpp"
#include "distributed/communicators/pending.hpp"

namespace granule {

class HostStaging {
 public:
  /// Waits for the input, if this rank gives one.
  HostStaging(const Collective& collective, int rank);
  /// The same collective between tensors on the host.
  [[nodiscard]] const Collective& on_host() const { return on_host_; }
  /// Writes what this rank has received to the device. Call it once, after the collective has ended.
  void deliver() const;

 private:
  Collective on_host_;
  Tensor input_, output_;  // on the device
};

/// A collective on the host that delivers its output when it ends. A null `carried` has ended.
[[nodiscard]] std::unique_ptr<Operation> deliver_after(std::unique_ptr<Operation> carried,
                                                       HostStaging staging);

}  // namespace granule
