#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "moe/ops/expert_products.cuh"

namespace granule::gpu {
namespace {

constexpr const char* kVariable = "GRANULE_CUDA_EXPERTS";

ExpertProducts named_products() {
  const char* const name = std::getenv(kVariable);
  if (name == nullptr || std::string_view(name) == "grouped") return ExpertProducts::grouped;
  if (std::string_view(name) == "streams") return ExpertProducts::streams;
  if (std::string_view(name) == "loop") return ExpertProducts::loop;
  user_error(fmt::format("{} = {} is no way to multiply", kVariable, name), "environment",
             "set it to loop, streams or grouped, or leave it out");
}

/// What cuBLAS wants to know of a group of products, each of which is a group of one for it. The arguments
/// are in its order, for the transposes of row-major matrices.
template <class T>
struct GroupArguments {
  std::vector<cublasOperation_t> operation_a, operation_b;
  std::vector<std::int64_t> m, n, k, pitch_a, pitch_b, pitch_c, one;
  std::vector<Wide<T>> alpha, beta;
  std::vector<const void*> addresses;  // of all A, then all B, then all C

  explicit GroupArguments(const std::vector<ExpertProduct<T>>& products) {
    for (const ExpertProduct<T>& product : products) add(product);
    for (const ExpertProduct<T>& product : products) addresses.push_back(product.b.data);
    for (const ExpertProduct<T>& product : products) addresses.push_back(product.a.data);
    for (const ExpertProduct<T>& product : products) addresses.push_back(product.c.data);
  }

 private:
  void add(const ExpertProduct<T>& product) {
    operation_a.push_back(operation_of(product.b.transpose));
    operation_b.push_back(operation_of(product.a.transpose));
    m.push_back(product.n);
    n.push_back(product.m);
    k.push_back(product.k);
    pitch_a.push_back(product.b.pitch);
    pitch_b.push_back(product.a.pitch);
    pitch_c.push_back(product.c.pitch);
    one.push_back(1);
    alpha.push_back(Wide<T>(1));
    beta.push_back(static_cast<Wide<T>>(product.c.beta));
  }
};

/// On an H200, cuBLAS refused groups in float64. Its kernel failed where rows of bf16 began at multiples of 2
/// bytes, and at multiples of 4 it was slow. Groups in float32 were not tried.
template <class T>
bool can_group(const std::vector<ExpertProduct<T>>& products) {
  if (!std::is_same_v<T, bf16>) return false;
  const auto aligned = [](const T* data, std::int64_t pitch) {
    constexpr std::int64_t kBytes = 16;
    return reinterpret_cast<std::uintptr_t>(data) % kBytes == 0 &&
           pitch * std::int64_t{sizeof(T)} % kBytes == 0;
  };
  return std::ranges::all_of(products, [&](const ExpertProduct<T>& p) {
    return aligned(p.a.data, p.a.pitch) && aligned(p.b.data, p.b.pitch) && aligned(p.c.data, p.c.pitch);
  });
}

template <class T>
void multiply_group(Runtime& runtime, const std::vector<ExpertProduct<T>>& products,
                    std::int64_t* addresses) {
  const GroupArguments<T> group(products);
  const auto count = std::ssize(products);
  runtime.copy_to_device(reinterpret_cast<std::byte*>(addresses), std::as_bytes(std::span(group.addresses)));
  auto* const all = reinterpret_cast<void**>(addresses);
  check_blas(cublasGemmGroupedBatchedEx_64(
                 runtime.lane().blas(), group.operation_a.data(), group.operation_b.data(), group.m.data(),
                 group.n.data(), group.k.data(), group.alpha.data(), all, kTypeOf<T>, group.pitch_a.data(),
                 all + count, kTypeOf<T>, group.pitch_b.data(), group.beta.data(), all + 2 * count,
                 kTypeOf<T>, group.pitch_c.data(), count, group.one.data(), kComputedIn<T>),
             "cublasGemmGroupedBatchedEx");
}

}  // namespace

ExpertProducts expert_products() {
  static const ExpertProducts products = named_products();
  return products;
}

WorkspacePart addresses_of(std::int64_t products) {
  return {expert_products() == ExpertProducts::grouped ? 3 * products : 0, DType::i64};
}

template <class T>
void multiply(Runtime& runtime, const std::vector<ExpertProduct<T>>& products, std::int64_t* addresses) {
  std::vector<ExpertProduct<T>> with_rows;  // cuBLAS refuses a group with a product of no rows
  for (const ExpertProduct<T>& product : products) {
    if (product.m > 0 && product.n > 0) with_rows.push_back(product);
  }
  if (with_rows.empty()) return;
  if (expert_products() == ExpertProducts::grouped && can_group(with_rows))
    return multiply_group(runtime, with_rows, addresses);
  submit_products(runtime, std::ssize(with_rows), [&](Lane& lane, std::int64_t i) {
    const ExpertProduct<T>& product = with_rows[static_cast<std::size_t>(i)];
    gemm<T>(lane, product.m, product.n, product.k, product.a, product.b, product.c);
  });
}

template void multiply(Runtime&, const std::vector<ExpertProduct<float>>&, std::int64_t*);
template void multiply(Runtime&, const std::vector<ExpertProduct<double>>&, std::int64_t*);
template void multiply(Runtime&, const std::vector<ExpertProduct<bf16>>&, std::int64_t*);

}  // namespace granule::gpu
