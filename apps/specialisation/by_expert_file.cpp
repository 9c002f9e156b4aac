#include "apps/specialisation/by_expert_file.hpp"

#include <algorithm>
#include <fstream>

#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/files/atomic_file.hpp"
#include "data/files/paths.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kTokensOfExpert = 10;
/// A token must be at least one in so many of an expert's choices. Otherwise rare tokens would fill the list:
/// it takes few of them to go to one expert by chance.
constexpr std::int64_t kLeastShareOfLoad = 500;

double ratio(std::int64_t a, std::int64_t b) {
  return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0.0;
}

/// What an expert chose of something, and how much of it there is.
struct Served {
  std::int64_t id = 0, count = 0, tokens = 0;
};

/// The share of an expert's choices, over the share of all choices in its layer. Every token makes equally
/// many choices, so the latter is its share of the tokens. With a single division, equal ratios are equal
/// numbers.
double lift_of(const Served& served, const ChoiceCounts& choices, std::int64_t load) {
  return static_cast<double>(served.count) * static_cast<double>(choices.tokens()) /
         (static_cast<double>(load) * static_cast<double>(served.tokens));
}

std::vector<Served> tokens_of(const ChoiceCounts& choices, std::size_t layer, std::int64_t expert) {
  const ChoiceCounts::Layer& counts = choices.layers()[layer];
  const std::int64_t load = counts.experts[static_cast<std::size_t>(expert)].load;
  const std::int64_t least = std::max(kLeastOfToken, (load + kLeastShareOfLoad - 1) / kLeastShareOfLoad);
  std::vector<Served> served;
  for (std::int64_t row = 0; row < std::ssize(choices.frequencies().frequent()); ++row) {
    const std::int64_t id = choices.frequencies().frequent()[static_cast<std::size_t>(row)];
    const std::int64_t count = counts.of_token_RE[static_cast<std::size_t>(row * choices.experts() + expert)];
    const Served token{id, count, choices.frequencies().count(id)};
    if (count >= least && lift_of(token, choices, load) > 1.0) served.push_back(token);
  }
  const auto before = [](const Served& a, const Served& b) {
    const std::int64_t left = a.count * b.tokens, right = b.count * a.tokens;
    return left != right ? left > right : std::pair(b.count, a.id) < std::pair(a.count, b.id);
  };
  const std::size_t most = std::min(kTokensOfExpert, served.size());
  std::partial_sort(served.begin(), served.begin() + static_cast<std::ptrdiff_t>(most), served.end(), before);
  served.resize(most);
  return served;
}

Json tokens_json(const ChoiceCounts& choices, std::size_t layer, std::int64_t expert, std::int64_t load,
                 std::int64_t choices_of_a_token) {
  Json tokens = Json::array();
  for (const Served& token : tokens_of(choices, layer, expert)) {
    const std::optional<std::string> piece = choices.table().piece(token.id);
    tokens.push_back({{"id", token.id},
                      {"piece", piece ? Json(*piece) : Json()},
                      {"count", token.count},
                      {"share_of_token", ratio(token.count, token.tokens * choices_of_a_token)},
                      {"lift", lift_of(token, choices, load)}});
  }
  return tokens;
}

Json classes_json(const ChoiceCounts& choices, const ChoiceCounts::Expert& expert) {
  if (!choices.table().known()) return nullptr;
  Json classes = Json::object();
  for (std::size_t i = 0; i < kTokenClassNames.size(); ++i)
    classes[std::string(kTokenClassNames[i])] = ratio(expert.classes[i], expert.load);
  return classes;
}

Json documents_json(const ChoiceCounts& choices, std::size_t layer, std::int64_t expert, std::int64_t load) {
  Json documents = Json::array();
  if (!choices.documents()) return documents;
  for (const DocumentCount& best : choices.documents()->best(layer, expert)) {
    const double lift = lift_of({best.document, best.count, best.tokens}, choices, load);
    if (lift <= 1.0) continue;
    documents.push_back({{"document", best.document}, {"count", best.count}, {"lift", lift}});
  }
  return documents;
}

Json together_json(const ChoiceCounts& choices, const ChoiceCounts::Layer& layer) {
  Json rows = Json::array();
  const auto experts = static_cast<std::size_t>(choices.experts());
  for (std::size_t e = 0; e < experts; ++e)
    rows.push_back(std::span(layer.together_EE).subspan(e * experts, experts));
  return rows;
}

/// An older answer may be replaced, because it can be made again. Anything else stays.
void refuse_other_file(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  std::string beginning(128, '\0');
  std::ifstream(path, std::ios::binary).read(beginning.data(), std::ssize(beginning));
  if (fs::file_size(path, error) == 0 || beginning.find(kByExpertFormat) != std::string::npos) return;
  user_error("this file was not written by --by-expert, so it is not replaced", path.string(),
             "name another file");
}

}  // namespace

void require_place_for_file(const fs::path& path) {
  require_path_fits(path, {.added = 32});  // it is first written under a longer name
  std::error_code error;
  if (!path.has_filename()) {
    user_error(fmt::format("--by-expert '{}' names no file", path.string()), "command line",
               "give the name of a file to write");
  }
  if (fs::exists(path, error) && !fs::is_regular_file(path, error))
    user_error("this is not a regular file", path.string(), "give the name of a file to write");
  refuse_other_file(path);
  if (!fs::is_directory(parent_of(path), error))
    user_error("no such directory", parent_of(path).string(), "create it, or write the file elsewhere");
  // Only an attempt tells, for root and on every file system.
  const AtomicFile attempt(path);
}

TokenTable token_table_of(const ModelFiles& files, const fs::path& data) {
  const std::optional<fs::path> tokenizer = files.tokenizer() ? files.tokenizer() : find_tokenizer(data);
  if (tokenizer) return TokenTable(*open_tokenizer(*tokenizer));
  say("granule: warning: neither the model nor the data have a tokenizer, so tokens by expert have ids but "
      "no "
      "pieces and classes");
  return {};
}

Json by_layer_of(const ChoiceCounts& choices) {
  Json layers = Json::array();
  for (std::size_t i = 0; i < choices.layers().size(); ++i) {
    const ChoiceCounts::Layer& layer = choices.layers()[i];
    std::int64_t all = 0;
    for (const ChoiceCounts::Expert& expert : layer.experts) all += expert.load;
    const std::int64_t k = choices.tokens() > 0 ? all / choices.tokens() : 0;
    Json experts = Json::array();
    for (std::int64_t e = 0; e < choices.experts(); ++e) {
      const ChoiceCounts::Expert& expert = layer.experts[static_cast<std::size_t>(e)];
      experts.push_back(
          {{"expert", e},
           {"load", expert.load},
           {"weight", expert.load > 0 ? Json(expert.weight / static_cast<double>(expert.load)) : Json()},
           {"tokens", tokens_json(choices, i, e, expert.load, k)},
           {"classes", classes_json(choices, expert)},
           {"documents", documents_json(choices, i, e, expert.load)}});
    }
    layers.push_back({{"layer", choices.layer_numbers()[i]},
                      {"experts", std::move(experts)},
                      {"together", together_json(choices, layer)}});
  }
  return layers;
}

void write_by_expert(const fs::path& path, const Json& document) {
  static_cast<void>(write_file(path, document.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n'));
}

}  // namespace granule
