#include "apps/inputs/same_input.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/files/digest.hpp"
#include "distributed/agreement.hpp"

namespace granule {
namespace {

using nlohmann::json;

std::string digest_of(const json& value) {
  const std::string text = value.dump();
  return xxh3_of(std::as_bytes(std::span(text)));
}

/// Digests, each under the name that a message uses for its data.
json digests_of(const JobInput& input) {
  json digests{{"configs", digest_of(to_json(input.config))}};
  if (input.data == nullptr) return digests;
  digests["training data"] = digest_of(input.data->identity);
  if (input.data->validation) digests["validation data"] = digest_of(identity_of(*input.data->validation));
  return digests;
}

/// The digests of all files that a model's weights are read from. A checkpoint's manifest states them, and
/// they were verified when it was opened.
json digests_of_files(const ModelFiles& model) {
  if (model.checkpoint() != nullptr) return {{"models to start from", model.checkpoint()->digest()}};
  json digests = json::object();
  for (const SafetensorsFile& file : model.tensors().files()) {
    const std::string name = file.path().filename().string();
    digests[fmt::format("models to start from ({})", name)] = xxh3_of_file(file.path());
  }
  return digests;
}

/// The digests that the first rank of this rank's view computed.
std::string shared_digests(Communicator& ranks, const Hosts& hosts, const ModelFiles& model) {
  std::string mine;
  agree(ranks, [&] {
    if (hosts.verifies()) mine = digests_of_files(model).dump();
  });
  const std::vector<std::string> all = texts_of_all(ranks, mine, "model to start from");
  return all[static_cast<std::size_t>(hosts.first_of_view(ranks.rank()))];
}

/// The name of something that differs. Empty if everything is the same.
std::string difference(const json& mine, const json& theirs) {
  for (const auto& [what, digest] : mine.items())
    if (!theirs.contains(what) || theirs[what] != digest) return what;
  for (const auto& [what, digest] : theirs.items())
    if (!mine.contains(what)) return what;
  return "";
}

/// What a rank was given, for a message.
std::string given(const std::string& value) {
  return value.empty() ? "none" : value;
}

}  // namespace

DigestCheck digest_check_of(const Hosts& hosts) {
  return hosts.verifies() ? DigestCheck::verify : DigestCheck::skip;
}

void require_same_input(Communicator& ranks, const Hosts& hosts, const JobInput& mine) {
  if (ranks.size() == 1) return;
  json digests;
  agree(ranks, [&] { digests = digests_of(mine); });
  if (mine.start != nullptr && hosts.views() > 1)
    digests.update(json::parse(shared_digests(ranks, hosts, *mine.start)));
  const json of_rank_0 = json::parse(text_of_rank_0(ranks, digests.dump(), "input"));
  const std::vector<std::string> differences = texts_of_all(ranks, difference(digests, of_rank_0), "input");
  const auto other = std::ranges::find_if(differences, [](const auto& what) { return !what.empty(); });
  if (other == differences.end()) return;
  const auto rank = static_cast<int>(other - differences.begin());
  throw AgreedError(
      ExitCode::out_of_step,
      fmt::format("the ranks read different {}: {} and {} differ", *other, hosts.text(0), hosts.text(rank)),
      "input", "give every host the same files under the same paths, and all ranks the same arguments");
}

void require_same_options(Communicator& ranks, const Hosts& hosts, const std::vector<Option>& options) {
  if (ranks.size() == 1) return;
  for (const auto& [name, value] : options) {
    const std::vector<std::string> values = texts_of_all(ranks, value, "options");
    const auto other = std::ranges::find_if(values, [&](const auto& one) { return one != values.front(); });
    if (other == values.end()) continue;
    const auto rank = static_cast<int>(other - values.begin());
    throw AgreedError(ExitCode::out_of_step,
                      fmt::format("the ranks differ in {}: {} has {} and {} has {}", name, hosts.text(0),
                                  given(values.front()), hosts.text(rank), given(*other)),
                      "command line", "give all ranks the same arguments");
  }
}

}  // namespace granule
