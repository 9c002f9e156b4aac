// What an evaluation counts by expert, against counts of the same choices with maps.
#include "apps/specialisation/choice_counts.hpp"

#include <map>

#include "apps/specialisation/by_expert_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::int64_t kExperts = 8, kVocabulary = 61;

struct OneChoice {
  std::int64_t layer, token, document, expert;
  double weight;
};

/// Counts as the program does, and keeps every choice too.
struct Follower final : TokenFollower {
  ChoiceCounts& counts;
  std::vector<std::int64_t> document_of_token;
  std::map<std::int64_t, std::pair<std::vector<std::int64_t>, Numbers>> of_layer;
  std::vector<OneChoice> all;
  std::int64_t done = 0;

  Follower(ChoiceCounts& inner, const std::vector<std::vector<std::int32_t>>& documents) : counts(inner) {
    for (std::size_t d = 0; d < documents.size(); ++d)
      document_of_token.insert(document_of_token.end(), documents[d].size(), std::int64_t(d));
  }
  void on_choice(const ChoiceNote& note) override {
    counts.on_choice(note);
    of_layer[note.layer] = {integers_of(note.id_NK), values_of(note.weight_NK)};
  }
  void on_batch(const Batch& batch) override {
    counts.on_batch(batch);
    for (const auto& [layer, choice] : of_layer) {
      const std::size_t k = choice.first.size() / batch.inputs.size();
      for (std::size_t i = 0; i < choice.first.size(); ++i)
        all.push_back({layer, batch.inputs[i / k], document_of_token[std::size_t(done) + i / k],
                       choice.first[i], choice.second[i]});
    }
    done += std::ssize(batch.inputs);
  }
};

struct Counted {
  SmallModel small;
  Evaluation evaluation{};
  std::vector<OneChoice> all{};
  Json by_layer{};
  std::int64_t documents = -1;

  Counted(const TempDir& folder, const std::vector<std::vector<std::int32_t>>& texts, const MoeConfig& moe,
          const Ablation& ablation = {})
      : small(DType::f64, 1, small_model_config(), moe) {
    const DataMix data(folder.path(), Split::val);
    const std::int64_t samples = data.samples(kSmallSeq);
    ChoiceCounts counts(small.model, data, samples * kSmallSeq, {});
    Follower follower(counts, texts);
    evaluation =
        evaluate(small.context, small.model, data,
                 {.seq_len = kSmallSeq, .micro_batch_size = 3, .ablation = ablation, .follower = &follower});
    counts.finish();
    CHECK(counts.tokens() == evaluation.tokens);
    all = follower.all;
    by_layer = by_layer_of(counts);
    if (counts.documents()) documents = counts.documents()->documents();
  }
};

template <class Match>
std::int64_t count_of(const std::vector<OneChoice>& all, const Match& match) {
  return std::count_if(all.begin(), all.end(), match);
}

/// The tokens of an expert as the documents say: the best lifts of those with enough choices.
Json expected_tokens(const std::vector<OneChoice>& of_layer, std::int64_t expert, double k) {
  std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> counts;  // of the expert, of all
  std::int64_t load = 0;
  for (const OneChoice& one : of_layer) {
    ++counts[one.token].second;
    if (one.expert != expert) continue;
    ++counts[one.token].first;
    ++load;
  }
  std::vector<std::tuple<double, std::int64_t, std::int64_t>> rows;
  for (const auto& [token, count] : counts) {
    const double lift = double(count.first) / double(load) / (double(count.second) / double(of_layer.size()));
    if (count.first >= 5 && double(count.first) >= double(load) / 500.0 && lift > 1.0 + 1e-12)
      rows.emplace_back(-lift, -count.first, token);
  }
  // Lifts that are equal as fractions may differ in their last bit.
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    if (std::abs(std::get<0>(a) - std::get<0>(b)) > 1e-12) return std::get<0>(a) < std::get<0>(b);
    return std::pair(std::get<1>(a), std::get<2>(a)) < std::pair(std::get<1>(b), std::get<2>(b));
  });
  Json tokens = Json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(rows.size(), 10); ++i) {
    const auto& [lift, count, token] = rows[i];
    tokens.push_back({{"id", token}, {"count", -count}, {"lift", -lift}});
    tokens.back()["share_of_token"] = double(-count) / double(counts[token].second);
    CHECK(counts[token].second % std::int64_t(k) == 0);
  }
  return tokens;
}

void check_tokens(const Json& said, const Json& expected) {
  REQUIRE(said.size() == expected.size());
  for (std::size_t i = 0; i < said.size(); ++i) {
    CAPTURE(i, said[i].dump(), expected[i].dump());
    CHECK(said[i]["id"] == expected[i]["id"]);
    CHECK(said[i]["count"] == expected[i]["count"]);
    CHECK(said[i]["piece"].is_null());
    CHECK(said[i]["lift"].get<double>() == Approx(expected[i]["lift"].get<double>()).epsilon(1e-12));
    CHECK(said[i]["share_of_token"].get<double>() ==
          Approx(expected[i]["share_of_token"].get<double>()).epsilon(1e-12));
  }
}

void check_documents(const Json& said, const std::vector<OneChoice>& of_layer, std::int64_t expert,
                     std::int64_t documents) {
  std::int64_t load = count_of(of_layer, [&](const OneChoice& one) { return one.expert == expert; });
  std::vector<std::pair<double, std::int64_t>> rows;
  for (std::int64_t d = 0; d < documents; ++d) {
    const auto all = count_of(of_layer, [&](const OneChoice& one) { return one.document == d; });
    const auto own =
        count_of(of_layer, [&](const OneChoice& one) { return one.document == d && one.expert == expert; });
    const double lift = double(own) / double(load) / (double(all) / double(of_layer.size()));
    if (own >= 10 && lift > 1.0) rows.emplace_back(-lift, d);
  }
  std::sort(rows.begin(), rows.end());
  REQUIRE(said.size() == std::min<std::size_t>(rows.size(), 5));
  for (std::size_t i = 0; i < said.size(); ++i) {
    CHECK(said[i]["lift"].get<double>() == Approx(-rows[i].first).epsilon(1e-12));
    CHECK(said[i]["document"] == rows[i].second);
  }
}

std::vector<std::vector<std::int32_t>> odd_documents() {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int64_t d = 0; d < 9; ++d) {
    std::vector<std::int32_t> ids;
    for (std::int64_t t = 0; t < 37 + 11 * d; ++t)
      ids.push_back(static_cast<std::int32_t>((t * t * (d + 2) + 5 * d) % (d % 2 == 0 ? 13 : kVocabulary)));
    documents.push_back(ids);
  }
  return documents;
}

}  // namespace

TEST_CASE(
    "choice_counts: everything that is said of an expert is what counting its choices one by one says") {
  const TempDir folder;
  const auto documents = odd_documents();
  // Two shards, so that documents have another number in the split than in their shard.
  write_shard(folder / "val-00000.h5", {documents.begin(), documents.begin() + 4}, kVocabulary);
  write_shard(folder / "val-00001.h5", {documents.begin() + 4, documents.end()}, kVocabulary);
  for (const Ablation& ablation : {Ablation{}, Ablation{2, SharedExperts::left_out}}) {
    const Counted counted(folder, documents, small_moe_config(), ablation);
    CHECK(counted.documents == 9);
    REQUIRE(counted.by_layer.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const Json& layer = counted.by_layer[i];
      CHECK(layer["layer"] == i + 1);
      std::vector<OneChoice> of_layer = counted.all;
      std::erase_if(of_layer, [&](const OneChoice& one) { return one.layer != std::int64_t(i) + 1; });
      REQUIRE(std::ssize(of_layer) == 3 * counted.evaluation.tokens);
      for (std::int64_t e = 0; e < kExperts; ++e) {
        const Json& expert = layer["experts"][std::size_t(e)];
        CAPTURE(i, e);
        double weight = 0.0;
        for (const OneChoice& one : of_layer) weight += one.expert == e ? one.weight : 0.0;
        const auto load = count_of(of_layer, [&](const OneChoice& one) { return one.expert == e; });
        CHECK(expert["expert"] == e);
        CHECK(expert["load"] == load);
        CHECK(load == counted.evaluation.counts[i * 8 + std::size_t(e)]);
        CHECK(expert["classes"].is_null());
        if (load == 0) {
          CHECK(expert["weight"].is_null());
          CHECK(expert["tokens"].empty());
          continue;
        }
        CHECK(expert["weight"].get<double>() == Approx(weight / double(load)).epsilon(1e-12));
        check_tokens(expert["tokens"], expected_tokens(of_layer, e, 3));
        check_documents(expert["documents"], of_layer, e, 9);
        for (std::int64_t other = 0; other < kExperts; ++other) {
          std::int64_t both = 0;
          for (std::size_t token = 0; token < of_layer.size(); token += 3) {
            const auto has = [&](std::int64_t id) {
              return std::any_of(of_layer.begin() + std::ptrdiff_t(token),
                                 of_layer.begin() + std::ptrdiff_t(token) + 3,
                                 [&](const OneChoice& one) { return one.expert == id; });
            };
            both += has(e) && has(other) ? 1 : 0;
          }
          CHECK(layer["together"][std::size_t(e)][std::size_t(other)] == both);
        }
      }
    }
  }
}

TEST_CASE("choice_counts: a hash router's choices are counted too, and all have the same weight") {
  const TempDir folder;
  write_shard(folder / "val-00000.h5", odd_documents(), kVocabulary);
  MoeConfig moe = small_moe_config();
  moe.router = RouterKind::hash;
  moe.hash_seed = 5;
  moe.aux_loss_alpha = 0.0;
  const Counted counted(folder, odd_documents(), moe);
  std::int64_t loads = 0;
  for (const Json& expert : counted.by_layer[0]["experts"]) {
    loads += expert["load"].get<std::int64_t>();
    if (!expert["weight"].is_null()) CHECK(expert["weight"].get<double>() == Approx(1.0 / 3).epsilon(1e-12));
    // A token always has the same experts, so all its choices of one are a third of its choices.
    for (const Json& token : expert["tokens"])
      CHECK(token["share_of_token"].get<double>() == Approx(1.0 / 3).epsilon(1e-12));
  }
  CHECK(loads == 3 * counted.evaluation.tokens);
}

TEST_CASE("token_frequencies: the most frequent tokens have a row, if they occur five times") {
  const TempDir folder;
  std::vector<std::int32_t> ids;
  for (const auto& [id, times] : {std::pair{3, 5}, {7, 9}, {1, 4}, {4, 9}, {0, 6}})
    ids.insert(ids.end(), std::size_t(times), id);
  write_shard(folder / "val-00000.h5", {ids}, 9);
  const DataMix data(folder.path(), Split::val);
  const TokenFrequencies all(data.source(0), std::ssize(ids), 9, 100),
      some(data.source(0), std::ssize(ids), 9, 3);
  CHECK(all.frequent() == std::vector<std::int64_t>{4, 7, 0, 3});
  CHECK(some.frequent() == std::vector<std::int64_t>{4, 7, 0});
  CHECK(all.count(1) == 4);
  CHECK(all.row(1) == -1);
  CHECK(all.row(3) == 3);
  CHECK(some.row(3) == -1);
  // The last tokens may not be evaluated.
  const TokenFrequencies fewer(data.source(0), std::ssize(ids) - 2, 9, 100);
  CHECK(fewer.count(0) == 4);
}
