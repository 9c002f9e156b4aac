#include "apps/exports/gguf_export.hpp"

#include "apps/exports/gguf_keys.hpp"
#include "apps/exports/gguf_model.hpp"
#include "apps/exports/gguf_tensors.hpp"
#include "apps/exports/read_back.hpp"
#include "apps/models/chat_templates.hpp"
#include "core/error.hpp"
#include "data/files/paths.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAside = 48;  // .NAME.writing, and what AtomicFile adds to it

/// The path is absolute and leads to a new file in a directory that is there.
fs::path checked_target(const fs::path& out) {
  std::error_code error;
  if (fs::is_directory(out, error))
    user_error("a GGUF export is one file, and this is a directory", out.string(),
               fmt::format("name the file, such as {}", (out / "model.gguf").string()));
  fs::path target = fs::weakly_canonical(fs::absolute(out), error);
  if (error) user_error(fmt::format("unusable: {}", error.message()), out.string(), "give another file");
  if (!target.has_filename())
    user_error("a GGUF export is one file, and this names a directory", out.string(), "name the file");
  if (fs::exists(target, error)) user_error("the file is already there", out.string(), "give a new one");
  if (!fs::is_directory(parent_of(target), error))
    user_error("the directory to create it in is not there", out.string(), "create it first");
  return target;
}

std::unique_ptr<Tokenizer> tokenizer_of(const ModelFiles& files) {
  if (!files.tokenizer())
    user_error("a GGUF file holds a tokenizer, and the model has none", files.path().string(),
               "put the tokenizer.model or tokenizer.json of its training data beside the weights, or use "
               "--format hf");
  auto tokenizer = open_tokenizer(*files.tokenizer());
  const std::int64_t pieces = tokenizer->vocab_size(), entries = files.config().model.vocab_size;
  if (pieces > entries)
    user_error(fmt::format("the tokenizer has {} pieces, the model's vocabulary {}", pieces, entries),
               files.tokenizer()->string(), "give the model its own tokenizer");
  return tokenizer;
}

/// The name for people that the file carries.
std::string title_of(const fs::path& target) {
  const std::string stem = target.stem().string();
  return first_invalid_utf8(stem) ? "model" : stem;
}

void remove_file(const fs::path& path) noexcept {
  std::error_code ignored;
  fs::remove(path, ignored);
}

/// What a writer that was killed has left.
void remove_leftovers(const fs::path& aside) {
  const std::string name = aside.filename().string();
  std::error_code error;
  for (fs::directory_iterator entry(parent_of(aside), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string found = entry->path().filename().string();
    if (found == name || (found.starts_with(name) && is_unfinished(found))) remove_file(entry->path());
  }
}

}  // namespace

ExportResult export_gguf(const ExportRequest& request, const ModelFiles& files) {
  require_path_fits(request.out, {.added = kAside});
  const fs::path target = checked_target(request.out);
  const auto tokenizer = tokenizer_of(files);
  const SourceTensors source(files);
  const std::vector<GgufTensor> tensors = gguf_tensors(source, request.type);
  GgufMetadata metadata;
  add_model_keys(metadata, source.model(), source.moe(), request.type, title_of(target));
  const std::string caveat =
      add_tokenizer_keys(metadata, *tokenizer, files.bos_of_documents(), source.model().vocab_size);
  add_chat_templates(metadata, chat_templates_in(files.companions()));

  ExportResult result{tensors.size(), true};
  if (!caveat.empty()) result.notes.push_back(fmt::format("llama.cpp with this tokenizer: {}", caveat));
  const auto in_f16 =
      std::ranges::count_if(tensors, [](const GgufTensor& tensor) { return tensor.type == GgufType::f16; });
  if (request.type == StoredType::q8_0 && in_f16 > 0)
    result.notes.push_back(
        fmt::format("{} matrices are f16, because their rows are no multiple of 32", in_f16));
  const fs::path aside = parent_of(target) / fmt::format(".{}.writing", target.filename().string());
  remove_leftovers(aside);
  try {
    write_gguf(aside, metadata, tensors);
    if (request.check == ReadBackCheck::yes)
      result.difference = compare_with_model(files, GgufModel(aside), request.type, request.out);
    rename_durably(aside, target, Disk::system());
  } catch (...) {
    remove_file(aside);
    throw;
  }
  return result;
}

}  // namespace granule
