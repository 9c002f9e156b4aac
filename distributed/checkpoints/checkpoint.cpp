#include "distributed/checkpoints/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <span>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "distributed/agreement.hpp"
#include "distributed/communicators/self_communicator.hpp"
#include "distributed/hosts.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTensorFile = ".safetensors";

std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = -1;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
  return whole && step >= 0 && checkpoint_name(step) == name ? std::optional(step) : std::nullopt;
}

void verify_file(const fs::path& path, const WrittenFile& stated) {
  require_regular_file(path);
  std::error_code error;
  const auto size =
      static_cast<std::int64_t>(fs::file_size(path, error));  // -1 on error, a size that no manifest has
  if (size != stated.size) {
    refuse_checkpoint(fmt::format("the file has {} bytes, the manifest states {}", size, stated.size),
                      path.string());
  }
  // Read and not mapped: a bad sector is an error here, and would be a signal with a mapped file.
  const std::string digest = xxh3_of_file(path);
  if (digest != stated.xxh3) {
    refuse_checkpoint(fmt::format("the file has checksum {}, the manifest states {}", digest, stated.xxh3),
                      path.string());
  }
}

/// A tensor file that the manifest does not name belongs to something else. To ask is better than to guess.
void refuse_strays(const fs::path& directory, const CheckpointManifest& manifest) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto named = [&](const WrittenFile& file) { return file.name == name; };
    if (name.ends_with(kTensorFile) && std::none_of(manifest.files.begin(), manifest.files.end(), named)) {
      refuse_checkpoint("the manifest does not name this file", entry->path().string());
    }
  }
  if (error) refuse_checkpoint(fmt::format("it cannot be listed: {}", error.message()), directory.string());
}

bool is_tensor_file(const std::string& name, std::string_view stem) {
  return name.starts_with(stem) && name.ends_with(kTensorFile);
}

bool is_model_file(const std::string& name) {
  return is_tensor_file(name, "model-");
}
bool is_optimizer_file(const std::string& name) {
  return is_tensor_file(name, "optim-");
}

Checkpoint open_listed(const StepDirectory& listed) {
  Checkpoint checkpoint = open_checkpoint(listed.path);
  if (checkpoint.step() != listed.step) {
    refuse_checkpoint(fmt::format("the manifest is of step {}", checkpoint.step()), listed.path.string());
  }
  return checkpoint;
}

/// Newest first, as rank 0 sees them.
std::vector<std::int64_t> steps_to_try(Communicator& ranks, const fs::path& checkpoints) {
  std::vector<std::int64_t> steps;
  agree(ranks, [&] {
    if (ranks.rank() != 0) return;
    for (const StepDirectory& listed : list_steps_in(checkpoints)) steps.push_back(listed.step);
  });
  std::int64_t count = std::ssize(steps);
  ranks.all_reduce(std::span(&count, 1), ReduceOp::max, "number of checkpoints").wait();
  steps.resize(static_cast<std::size_t>(count));
  ranks.all_reduce(std::span(steps), ReduceOp::max, "checkpoints").wait();
  return steps;
}

/// What one rank finds at the place of a checkpoint.
struct Finding {
  enum class Kind : char { whole = 'w', damaged = 'd', newer = 'n', no_memory = 'm' };
  Kind kind;
  std::string text;  ///< the digest of the manifest, or why it cannot be used
};

Finding try_to_open(const StepDirectory& listed, std::optional<Checkpoint>& checkpoint) {
  try {
    checkpoint = open_listed(listed);
    return {Finding::Kind::whole, checkpoint->digest()};
  } catch (const NewerCheckpoint& error) {
    return {Finding::Kind::newer, error.what()};
  } catch (const std::bad_alloc&) {  // it says nothing about the checkpoint
    return {Finding::Kind::no_memory, "out of memory (allocation): use a smaller batch or model"};
  } catch (const std::exception& error) {
    return {Finding::Kind::damaged, error.what()};
  }
}

/// The findings of every rank.
std::vector<Finding> share(Communicator& ranks, const Finding& mine) {
  std::vector<Finding> all;
  for (const std::string& text : texts_of_all(ranks, static_cast<char>(mine.kind) + mine.text, "checkpoint"))
    all.push_back({static_cast<Finding::Kind>(text[0]), text.substr(1)});
  return all;
}

/// The lowest rank for which this is true.
template <class Holds>
std::optional<std::size_t> first_rank(const std::vector<Finding>& all, const Holds& holds) {
  const auto found = std::ranges::find_if(all, holds);
  if (found == all.end()) return std::nullopt;
  return static_cast<std::size_t>(found - all.begin());
}

/// If ranks see different things under one name, their hosts do not share the directory, or see it at
/// different times. Going on from an older checkpoint would overwrite what one of them has.
void require_one_finding(const std::vector<Finding>& all, const Hosts& hosts, const fs::path& path) {
  const auto name = [&](std::size_t rank) { return hosts.text(static_cast<int>(rank)); };
  const auto of_kind = [&](Finding::Kind kind) {
    return first_rank(all, [&](const Finding& one) { return one.kind == kind; });
  };
  if (const auto rank = of_kind(Finding::Kind::no_memory))
    throw AgreedError(ExitCode::out_of_memory, all[*rank].text, "", "");
  if (const auto rank = of_kind(Finding::Kind::newer))
    throw NewerCheckpoint(ExitCode::user, all[*rank].text, "", "");
  const auto whole = of_kind(Finding::Kind::whole), damaged = of_kind(Finding::Kind::damaged);
  constexpr const char* kAdvice = "nothing was changed: give every host the same run directory";
  if (whole && damaged) {
    throw AgreedError(ExitCode::user,
                      fmt::format("the checkpoint is whole for {} and not for {}: {}", name(*whole),
                                  name(*damaged), all[*damaged].text),
                      path.string(), kAdvice);
  }
  const auto other = first_rank(all, [&](const Finding& one) { return one.text != all[0].text; });
  if (whole && other) {
    throw AgreedError(ExitCode::out_of_step,
                      fmt::format("{} and {} have different checkpoints of this name", name(0), name(*other)),
                      path.string(), kAdvice);
  }
}

bool any_rank(Communicator& ranks, bool mine) {
  std::int64_t any = mine ? 1 : 0;
  ranks.all_reduce(std::span(&any, 1), ReduceOp::max, "removed checkpoint").wait();
  return any != 0;
}

/// A run that goes on may have removed it since it was listed. Rank 0's view counts for all.
bool has_gone(Communicator& ranks, const fs::path& listed) {
  std::error_code error;
  return any_rank(ranks, ranks.rank() == 0 && !fs::exists(listed, error) && !error);
}

/// Nothing if one of those listed was removed before it could be read.
std::optional<FoundCheckpoint> try_listed(Communicator& ranks, const fs::path& checkpoints) {
  FoundCheckpoint found;
  const Hosts hosts(ranks);
  for (const std::int64_t step : steps_to_try(ranks, checkpoints)) {
    const fs::path path = checkpoints / checkpoint_name(step);
    const std::vector<Finding> all = share(ranks, try_to_open({step, path}, found.checkpoint));
    const auto lacking = first_rank(all, [](const Finding& one) { return one.kind != Finding::Kind::whole; });
    if (lacking && has_gone(ranks, path)) return std::nullopt;
    require_one_finding(all, hosts, path);
    if (!lacking) return found;
    found.passed_over.push_back({path, all[0].text});
  }
  return found;
}

FoundCheckpoint find_newest(Communicator& ranks, const fs::path& checkpoints) {
  constexpr int kMostTries = 100;  // sooner or later a checkpoint is read completely between two saves
  for (int i = 0; i < kMostTries; ++i) {
    if (auto found = try_listed(ranks, checkpoints)) return std::move(*found);
  }
  throw AgreedError(ExitCode::user, "the checkpoints are removed faster than they can be read",
                    checkpoints.string(), "raise the run's checkpoint.keep, or copy one and name the copy");
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("{}{:08}", kPrefix, step);
}

fs::path checkpoints_of(const fs::path& run_directory) {
  return run_directory / "checkpoints";
}

std::string Checkpoint::digest() const {
  const std::string text = manifest_text(manifest_);
  return xxh3_of(std::as_bytes(std::span(text)));
}

std::vector<fs::path> Checkpoint::extra_files() const {
  std::vector<fs::path> files;
  for (const WrittenFile& file : manifest_.files) {
    if (!is_model_file(file.name) && !is_optimizer_file(file.name)) files.push_back(path_ / file.name);
  }
  return files;
}

bool is_checkpoint(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / kManifestName, ignored);
}

Checkpoint open_checkpoint(const fs::path& directory) {
  Checkpoint checkpoint;
  checkpoint.path_ = directory;
  checkpoint.manifest_ = load_manifest(directory);
  refuse_strays(directory, checkpoint.manifest_);
  for (const WrittenFile& file : checkpoint.manifest_.files) verify_file(directory / file.name, file);
  for (const WrittenFile& file : checkpoint.manifest_.files) {
    if (is_model_file(file.name)) checkpoint.model_.add(SafetensorsFile::open(directory / file.name));
    if (is_optimizer_file(file.name)) checkpoint.optimizer_.add(SafetensorsFile::open(directory / file.name));
  }
  return checkpoint;
}

std::vector<StepDirectory> list_steps_in(const fs::path& checkpoints) {
  std::vector<StepDirectory> found;
  std::error_code error;
  if (!fs::exists(checkpoints, error)) return found;
  for (fs::directory_iterator entry(checkpoints, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto step = step_of(entry->path().filename().string())) found.push_back({*step, entry->path()});
  }
  if (error) {
    user_error(fmt::format("cannot list the checkpoints: {}", error.message()), checkpoints.string(),
               "check the directory");
  }
  std::sort(found.begin(), found.end(),
            [](const StepDirectory& a, const StepDirectory& b) { return a.step > b.step; });
  return found;
}

std::vector<StepDirectory> list_checkpoints(const fs::path& run_directory) {
  return list_steps_in(checkpoints_of(run_directory));
}

FoundCheckpoint find_newest_valid(const fs::path& run_directory) {
  return find_newest_in(checkpoints_of(run_directory));
}

FoundCheckpoint find_newest_in(const fs::path& checkpoints) {
  SelfCommunicator alone;
  return find_newest(alone, checkpoints);
}

FoundCheckpoint find_newest_valid(Communicator& ranks, const fs::path& run_directory) {
  return find_newest(ranks, checkpoints_of(run_directory));
}

}  // namespace granule
