#include "apps/jobs/run_input.hpp"

#include "apps/inputs/data_warnings.hpp"
#include "apps/inputs/same_input.hpp"
#include "distributed/agreement.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

/// It is not a collective.
RunInput read_input(const TrainArguments& arguments, std::int64_t ranks, DigestCheck digests,
                    RunStart start) {
  RunInput input{.start = std::move(start)};
  input.config = config_of_run(arguments, input.start, ranks);
  if (arguments.dry_run && input.config.data.path.empty() && input.config.data.mix.empty()) return input;
  input.data = open_run_data(input.config, digests);
  const auto& files = input.start.files;
  const bool goes_on = arguments.resume && !list_checkpoints(arguments.out).empty();
  settle_vocabulary(input.config, *input.data, files ? files->tokenizer_sha256() : std::string(),
                    files || goes_on ? VocabularyOf::model : VocabularyOf::config);
  return input;
}

/// `run`, `run/` and `./run` are the same.
std::string plain(const fs::path& path) {
  return (path / "").lexically_normal().parent_path().string();
}

/// What a rank does not read, and would otherwise take from rank 0.
std::vector<Option> options_of(const TrainArguments& arguments) {
  return {{"--out", plain(arguments.out)},
          {"--init-from", plain(arguments.init_from)},
          {"--fork", arguments.fork},
          {"--resume", arguments.resume ? "it" : ""},
          {"--dry-run", arguments.dry_run ? "it" : ""},
          {"--digests", arguments.digests ? "it" : ""}};
}

}  // namespace

RunInput read_together(Communicator& ranks, const Hosts& hosts, const TrainArguments& arguments) {
  require_same_options(ranks, hosts, options_of(arguments));
  RunStart start = open_start(ranks, arguments);
  RunInput input;
  agree(ranks,
        [&] { input = read_input(arguments, ranks.size(), digest_check_of(hosts), std::move(start)); });
  const auto& files = input.start.files;
  require_same_input(ranks, hosts,
                     {.config = input.config,
                      .data = input.data ? &*input.data : nullptr,
                      .start = files ? &*files : nullptr});
  if (ranks.rank() == 0 && input.data) warn_of_data(input.config, input.data->train);
  return input;
}

}  // namespace granule
