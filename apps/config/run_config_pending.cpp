#include "apps/config/run_config_pending.hpp"

#include "core/device_runtime.hpp"
#include "core/error.hpp"
#include "core/plugin.hpp"

namespace granule {
namespace {

using nlohmann::json;
constexpr auto kOnly = PendingKey::Rule::only;
constexpr auto kNever = PendingKey::Rule::never;

std::string missing_gpu() {
  const CudaStatus status = load_cuda_plugin();
  return is_offered(DeviceType::cuda) ? "" : status.reason;
}

const PendingKey* row_of(std::string_view key) {
  for (const PendingKey& row : pending_keys()) {
    if (row.key == key) return &row;
  }
  return nullptr;
}

}  // namespace

const std::vector<PendingKey>& pending_keys() {
  static const std::vector<PendingKey> rows{
      {"model.hidden_act", kOnly, "silu", "every feed-forward is a SwiGLU"},
      {"train.device", kNever, "cuda", "use \"cpu\"", missing_gpu},
      {"checkpoint.async", kOnly, false, ""},
  };
  return rows;
}

void refuse_pending(std::string_view key, const json& value, std::string_view where) {
  const PendingKey* row = row_of(key);
  if (row == nullptr || (value == row->value) == (row->rule == kOnly)) return;
  const std::string missing = row->missing == nullptr ? "" : row->missing();
  if (row->missing != nullptr && missing.empty()) return;
  const std::string leave_out = fmt::format("leave it out, or set it to {}", row->value.dump());
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string_view why = missing.empty() ? std::string_view("it is not built yet") : missing;
  user_error(fmt::format("{} = {}: {}", key, text, why), where,
             row->advice.empty() ? std::string_view(leave_out) : row->advice);
}

bool is_pending_only(std::string_view key) {
  const PendingKey* row = row_of(key);
  return row != nullptr && row->rule == kOnly;
}

}  // namespace granule
