#include "apps/exports/read_back.hpp"

#include <algorithm>
#include <cmath>

#include "apps/generation/decoder.hpp"
#include "apps/models/running_model.hpp"
#include "core/error.hpp"
#include "core/transfer.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

constexpr std::int64_t kProbe = 33;  // tokens; positions up to 32 tell rotations apart

/// How far a stored value may be from the model's.
class RoundingBound {
 public:
  /// `wide` says that the model's values are float64, so that even float32 rounds them.
  RoundingBound(StoredType type, bool wide) : type_(type), wide_(wide) {}

  /// For values that are stored together: `value` is one of a block, and `largest` its largest magnitude.
  [[nodiscard]] double of(double value, double largest) const {
    const double size = std::abs(value);
    switch (type_) {
      case StoredType::f32:
        return wide_ ? std::ldexp(size, -24) + std::ldexp(1.0, -150) : 0.0;
      case StoredType::f16:
        return std::ldexp(size, -11) + std::ldexp(1.0, -25);
      case StoredType::bf16:
        return std::ldexp(size, -8) + std::ldexp(1.0, -134);
      case StoredType::q8_0:
        break;
    }
    // Half a step of largest / 127. The scale is rounded to f16, which moves 127 steps, and the product is
    // computed in float32.
    const double step = largest / 127.0;
    return 0.5 * step + 127.0 * (std::ldexp(step, -11) + std::ldexp(1.0, -25)) + std::ldexp(largest, -22);
  }

 private:
  StoredType type_;
  bool wide_;
};

void compare_values(std::span<const double> model, std::span<const float> stored, const RoundingBound& bound,
                    const std::string& name, const std::filesystem::path& out) {
  constexpr std::size_t kBlock = 32;
  for (std::size_t begin = 0; begin < model.size(); begin += kBlock) {
    const auto block = model.subspan(begin, std::min(kBlock, model.size() - begin));
    double largest = 0.0;
    for (const double value : block) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < block.size(); ++i) {
      const double found = stored[begin + i];
      if (std::abs(found - block[i]) <= bound.of(block[i], largest)) continue;
      refuse_export(
          fmt::format("element {} of '{}' is {}, in the export {}", begin + i, name, block[i], found), out);
    }
  }
}

void compare_weights(const ModelFiles& source, const ReadBack& written, StoredType type,
                     const std::filesystem::path& out) {
  ParameterStore store;
  declare_parameters(store, source.config().model, source.config().moe);
  for (const LogicalTensor& tensor : store.logical()) {
    const auto size = static_cast<std::size_t>(tensor.shape.numel());
    std::vector<double> model(size);
    std::vector<float> stored(size);
    source.tensors().read_into(tensor.name, tensor.shape.dims(), std::span(model));
    written.read(tensor.name, stored);
    const bool wide = source.tensors().get(tensor.name, tensor.shape.dims()).dtype == DType::f64;
    compare_values(model, stored, RoundingBound(type, wide), tensor.name, out);
  }
}

/// Tensors that only the export has add nothing: a shared expert of zeros, and a head that is the embedding.
void check_additions(const ModelFiles& source, const ReadBack& written, const std::filesystem::path& out) {
  ParameterStore ours, theirs;
  declare_parameters(ours, source.config().model, source.config().moe);
  declare_parameters(theirs, written.model(), written.moe());
  for (const LogicalTensor& tensor : theirs.logical()) {
    if (ours.has(tensor.name)) continue;
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.numel())), expected(values.size());
    written.read(tensor.name, values);
    if (tensor.name == "lm_head.weight") written.read("model.embed_tokens.weight", expected);
    if (values != expected) refuse_export(fmt::format("'{}' should change nothing", tensor.name), out);
  }
}

/// GGUF files have these numbers in float32. If they agree, the export is compared with the model's own, so
/// that float32 weights give equal logits.
double settled(double model, double written, std::string_view key, const std::filesystem::path& out) {
  if (static_cast<float>(model) != static_cast<float>(written))
    refuse_export(fmt::format("{} = {}, in the export {}", key, model, written), out);
  return model;
}

ModelConfig settled_config(const ModelConfig& model, ModelConfig written, const std::filesystem::path& out) {
  written.rms_norm_eps = settled(model.rms_norm_eps, written.rms_norm_eps, "rms_norm_eps", out);
  written.rope_theta = settled(model.rope_theta, written.rope_theta, "rope_theta", out);
  RopeScaling& scaling = written.rope_scaling;
  scaling.factor = settled(model.rope_scaling.factor, scaling.factor, "rope_scaling", out);
  if (scaling.type != model.rope_scaling.type || written.positions() != model.positions())
    refuse_export(
        fmt::format("it has {} positions, in the export {}", model.positions(), written.positions()), out);
  return written;
}

std::vector<std::int32_t> probe_tokens(const ModelConfig& model) {
  std::vector<std::int32_t> tokens;
  std::uint64_t state = 1;
  for (std::int64_t i = 0; i < std::min(kProbe, model.positions()); ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    tokens.push_back(
        static_cast<std::int32_t>((state >> 33U) % static_cast<std::uint64_t>(model.vocab_size)));
  }
  return tokens;
}

/// The logits after each token.
std::vector<std::vector<double>> logits_of(Context& context, const Model& model,
                                           const std::vector<std::int32_t>& tokens) {
  Decoder decoder(context, model, std::ssize(tokens));
  std::vector<std::vector<double>> logits;
  decoder.feed(tokens, 0, [&](std::span<const double> row) { logits.emplace_back(row.begin(), row.end()); });
  return logits;
}

std::vector<std::vector<double>> logits_of_export(Context& context, const ModelConfig& config,
                                                  const ReadBack& written,
                                                  const std::vector<std::int32_t>& tokens) {
  Model model(context, config, written.moe(), DType::f32, Gradients::no);
  std::vector<float> values;
  for (const LogicalTensor& tensor : model.parameters().logical()) {
    values.resize(static_cast<std::size_t>(tensor.shape.numel()));
    written.read(tensor.name, values);
    write(std::span<const float>(values), model.parameters().value_of(tensor));
  }
  for (const State& state : model.parameters().states()) {
    values.resize(static_cast<std::size_t>(state.shape.numel()));
    written.read_state(state.name, values);
    write(std::span<const float>(values), state.value);
  }
  return logits_of(context, model, tokens);
}

/// |a − b| / |a − mean of a|, or 0 for equal values. Infinite if a is constant and b is not.
double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double mean = 0.0, difference = 0.0, spread = 0.0;
  for (const double value : a) mean += value / static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    spread += (a[i] - mean) * (a[i] - mean);
  }
  const double ratio = difference == 0.0 ? 0.0 : std::sqrt(difference / spread);
  return std::isfinite(ratio) ? ratio : INFINITY;
}

double tolerance(StoredType type, const ModelConfig& model) {
  if (type == StoredType::f32) return 0.0;
  // q, k, v, o, the router and three matrices of a network in each layer; embedding and head.
  const double matrices = 8.0 * static_cast<double>(model.num_hidden_layers) + 2.0;
  const int digits = type == StoredType::f16 ? 11 : type == StoredType::bf16 ? 8 : 7;
  return 4.0 * std::ldexp(std::sqrt(matrices), -digits);
}

}  // namespace

void refuse_export(const std::string& what, const std::filesystem::path& where) {
  throw Error(ExitCode::io, fmt::format("the export was removed, because it is not the model: {}", what),
              where.string(),
              "check the disk and memory of this machine and export again; if that fails too, report it");
}

void ReadBack::read_state(const std::string&, std::span<float> out) const {
  std::ranges::fill(out, 0.0F);
}

void DirectoryReadBack::read_state(const std::string& name, std::span<float> out) const {
  if (!files_.tensors().find(name)) return ReadBack::read_state(name, out);
  read(name, out);
}

void DirectoryReadBack::read(const std::string& name, std::span<float> out) const {
  const TensorSet& tensors = files_.tensors();
  const auto view = tensors.find(name);
  if (!view) refuse_export(fmt::format("tensor '{}' is missing", name), files_.path());
  // Without the checks of a model's tensors: a wrong number is told by the comparison.
  floats_from_bytes(view->dtype, view->bytes, out);
  for (float& value : out) value *= static_cast<float>(view->factor);
}

double compare_with_model(const ModelFiles& source, const ReadBack& written, StoredType type,
                          const std::filesystem::path& out) {
  const ModelConfig& model = source.config().model;
  const ModelConfig config = settled_config(model, written.model(), out);
  compare_weights(source, written, type, out);
  check_additions(source, written, out);
  RunConfig run = source.config();
  run.train.threads = 0;
  run.train.device = DeviceType::cpu;
  run.train.dtype = DType::f32;
  RunningModel running(source, run);
  const std::vector<std::int32_t> tokens = probe_tokens(model);
  const auto expected = logits_of(running.context(), running.model(), tokens);
  const auto found = logits_of_export(running.context(), config, written, tokens);
  std::vector<double> differences;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    differences.push_back(relative_difference(expected[i], found[i]));
  std::ranges::sort(differences);
  const double median = differences[differences.size() / 2], most = tolerance(type, model);
  const double judged = type == StoredType::f32 ? differences.back() : median;
  if (judged > most)
    refuse_export(fmt::format("its logits differ by {:.2g}, and at most {:.2g} is rounding", judged, most),
                  out);
  return median;
}

}  // namespace granule
