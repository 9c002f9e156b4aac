// How the fake cuDNN reads an operation graph, and which engines it has for one.
#pragma once
#include "tests/cuda_emulation/cudnn/descriptors.hpp"

namespace fake_cudnn {

[[nodiscard]] cudnnStatus_t check_tensor(const Descriptor& descriptor);
/// Makes the Computation of a graph.
[[nodiscard]] cudnnStatus_t read_graph(Descriptor& descriptor);
/// In the order of its heuristics. The first does not repeat, as the fastest of cuDNN's own may not. The next
/// claims the graph and has no kernel, which was seen of cuDNN 9.19.
[[nodiscard]] std::vector<Engine> engines_for(const Computation& computation);
/// How many plans were run.
[[nodiscard]] std::uint64_t& runs();

}  // namespace fake_cudnn
