// Writes and verifies Hugging Face directories.
#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/strict_json.hpp"
#include "data/models/derived_tensors.hpp"
#include "data/models/hf_directory.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

struct Document {
  const char* name;
  const json* content;
};

std::vector<Document> documents_of(const HfExport& model) {
  std::vector<Document> documents;
  if (!model.generation_config.is_null())
    documents.push_back({"generation_config.json", &model.generation_config});
  if (model.tokenizer_config != nullptr)
    documents.push_back({"tokenizer_config.json", model.tokenizer_config});
  if (model.tokenizer != nullptr) documents.push_back({"tokenizer.json", model.tokenizer});
  documents.push_back({"config.json", &model.config});
  return documents;
}

std::vector<TensorToSave> tensors_as_written(const HfExport& model) {
  std::vector<TensorToSave> tensors;
  for (const TensorToSave& tensor : model.tensors) tensors.push_back(narrowed(tensor, model.dtype));
  tensors.insert(tensors.end(), model.states.begin(), model.states.end());
  return tensors;
}

/// The path is absolute, without symbolic links or a trailing slash, so that it can be the target of a
/// rename.
fs::path checked_target(const fs::path& directory) {
  std::error_code error;
  fs::path target = fs::weakly_canonical(fs::absolute(directory), error);
  if (error)
    user_error(fmt::format("unusable: {}", error.message()), directory.string(), "give another directory");
  if (!target.has_filename()) target = target.parent_path();
  const bool exists = fs::exists(target, error);
  if (exists && !(fs::is_directory(target, error) && fs::is_empty(target, error))) {
    user_error("the directory for the model is not empty", directory.string(),
               "give a new or an empty directory");
  }
  if (!fs::is_directory(parent_of(target), error)) {
    user_error("the directory to create it in is not there", directory.string(), "create it first");
  }
  return target;
}

struct Copy {
  fs::path from, to;  ///< `to` is relative to the directory that is written
};

std::vector<Copy> copies_of(const HfExport& model) {
  std::vector<Copy> copies;
  for (const fs::path& file : model.extra_files) copies.push_back({file, file.filename()});
  for (const fs::path& directory : model.extra_directories) {
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->is_regular_file(error))
        copies.push_back({entry->path(), directory.filename() / entry->path().filename()});
    }
    if (error)
      user_error(fmt::format("cannot list it: {}", error.message()), directory.string(),
                 "check the directory");
  }
  return copies;
}

void write_contents(const fs::path& directory, const HfExport& model, Disk& disk) {
  for (const fs::path& extra : model.extra_directories) make_directory(directory / extra.filename(), disk);
  for (const Copy& copy : copies_of(model)) copy_durably(copy.from, directory / copy.to, disk);
  const WrittenTensors written = write_tensors(directory, "model", tensors_as_written(model),
                                               model.max_shard_bytes, ShardNames::plain_when_single, disk);
  if (written.files.size() > 1) {
    const json index{{"metadata", {{"total_size", written.tensor_bytes}}}, {"weight_map", written.file_of}};
    write_file(directory / "model.safetensors.index.json", text_of_document(index), disk);
  }
  for (const Document& document : documents_of(model))
    write_file(directory / document.name, text_of_document(*document.content), disk);
}

[[noreturn]] void differs(std::string_view what, const fs::path& where) {
  io_error(fmt::format("{} reads back differently", what), where.string(),
           "check the disk and memory of this machine");
}

void verify_tensor(const HfDirectory& directory, const TensorToSave& tensor) {
  const auto view = directory.find(tensor.spec.name);
  const std::string what = fmt::format("tensor '{}'", tensor.spec.name);
  if (!view || view->dtype != tensor.spec.dtype || view->shape != tensor.spec.shape)
    differs(what, directory.path());
  std::size_t offset = 0;
  for_each_piece(tensor, [&](std::span<const std::byte> piece) {
    const auto written = view->bytes.subspan(offset, piece.size());
    if (!std::equal(piece.begin(), piece.end(), written.begin()))
      differs(what, directory.model().file_of(tensor.spec.name));
    offset += piece.size();
  });
}

}  // namespace

std::string text_of_document(const json& document) {
  return document.dump(2) + "\n";
}

void write_hf_directory(const fs::path& directory, const HfExport& model, Disk& disk) {
  const fs::path target = checked_target(directory);
  const fs::path aside = parent_of(target) / fmt::format(".{}.writing", target.filename().string());
  std::error_code error;
  if (fs::exists(aside, error)) remove_tree(aside, {}, disk);  // left by a writer that was killed
  try {
    make_directory(aside, disk);
    write_contents(aside, model, disk);
    if (model.verify == Verify::yes) verify_hf_directory(aside, model);
    if (model.verify == Verify::yes && model.verify_more) model.verify_more(aside);
    rename_durably(aside, target, disk);
  } catch (...) {
    try_remove_tree(aside, disk);
    throw;
  }
}

void verify_hf_directory(const fs::path& directory, const HfExport& model) {
  const HfDirectory written = HfDirectory::open(directory);
  for (const Document& document : documents_of(model)) {
    if (load_json_object(directory / document.name) != *document.content) differs(document.name, directory);
  }
  for (const Copy& copy : copies_of(model)) {
    if (xxh3_of_file(copy.from) != xxh3_of_file(directory / copy.to)) differs("the copied file", copy.from);
  }
  const std::vector<TensorToSave> tensors = tensors_as_written(model);
  if (written.names().size() != tensors.size()) differs("the list of tensors", directory);
  for (const TensorToSave& tensor : tensors) verify_tensor(written, tensor);
}

}  // namespace granule
