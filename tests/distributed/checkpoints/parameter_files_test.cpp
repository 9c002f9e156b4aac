// Reads the parameters of a model from tensor files of other programs.
#include "distributed/checkpoints/parameter_files.hpp"

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";
const std::vector<float> kValues{1.0F, -2.0F, 0.5F, 3.0F, 4.0F, 0.25F};

/// A model of one matrix. Its head is the embedding, or a matrix of its own.
struct Store {
  explicit Store(bool tied) {
    store.declare(kEmbedding, {2, 3});
    if (!tied) store.declare(kHead, {2, 3});
    store.materialise(context, DType::f32, Gradients::no);
  }
  TestContext context;
  ParameterStore store;
};

TensorToSave tensor(const char* name, const std::vector<float>& values, std::vector<std::int64_t> shape) {
  return tensor_of_bytes({name, DType::f32, std::move(shape)}, std::as_bytes(std::span(values)));
}

/// The error for a model with this head in its files. Empty if there is none.
std::string load_with_head(Store& model, const TensorToSave& head) {
  const TempDir directory;
  const std::vector<TensorToSave> tensors{tensor(kEmbedding, kValues, {2, 3}), head};
  static_cast<void>(
      write_tensors(directory.path(), "model", tensors, 1 << 20, ShardNames::plain_when_single));
  TensorSet set;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    set.add(SafetensorsFile::open(entry.path()));
  try {
    load_parameters(model.store, set, "somewhere");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
}

}  // namespace

TEST_CASE("parameter_files: the head of a tied model must be its embedding, in whatever type it comes") {
  Store tied(true), untied(false);
  std::vector<float> other = kValues;
  other[4] = 4.5F;
  CHECK(load_with_head(tied, tensor(kHead, kValues, {2, 3})).empty());
  CHECK(load_with_head(tied, converted(tensor(kHead, kValues, {2, 3}), DType::bf16)).empty());
  CHECK_THAT(load_with_head(tied, tensor(kHead, other, {2, 3})),
             Contains("lm_head.weight is not model.embed_tokens.weight") && Contains("somewhere") &&
                 Contains("tie_word_embeddings"));
  CHECK_THAT(load_with_head(tied, converted(tensor(kHead, other, {2, 3}), DType::bf16)),
             Contains("lm_head.weight is not"));
  CHECK_THAT(load_with_head(tied, tensor(kHead, kValues, {3, 2})), Contains("lm_head.weight"));
  CHECK(load_with_head(untied, tensor(kHead, other, {2, 3})).empty());
  CHECK(values_of(untied.store.value_of(untied.store.find(kHead)))[4] == 4.5);
}
