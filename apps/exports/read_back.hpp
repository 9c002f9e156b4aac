// Verifies an export: what its files say is read again, and must compute what the model computes.
#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "apps/exports/export_request.hpp"
#include "apps/models/model_files.hpp"
#include "core/error.hpp"

namespace granule {

/// What was written is not the model. The exit code is 74, and whoever writes removes the export.
[[noreturn]] void refuse_export(const std::string& what, const std::filesystem::path& where);
/// Returns what `read` returns. A user error about the files of an export is no mistake of the user, so it
/// goes to refuse_export().
template <class Read>
auto read_export(const std::filesystem::path& where, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    refuse_export(error.what(), where);
  }
}

/// A model as the files of an export describe it, under the names of this program.
class ReadBack {
 public:
  virtual ~ReadBack() = default;
  [[nodiscard]] virtual const ModelConfig& model() const = 0;
  [[nodiscard]] virtual const MoeConfig& moe() const = 0;
  /// All values of a parameter of such a model.
  virtual void read(const std::string& name, std::span<float> out) const = 0;
  /// The same of a state (nn/parameters.hpp). If the files do not have it, it is zero.
  virtual void read_state(const std::string& name, std::span<float> out) const;
};

/// A Hugging Face directory, read as a model of this program.
class DirectoryReadBack : public ReadBack {
 public:
  explicit DirectoryReadBack(const std::filesystem::path& directory) : files_(ModelFiles::open(directory)) {}
  [[nodiscard]] const ModelConfig& model() const override { return files_.config().model; }
  [[nodiscard]] const MoeConfig& moe() const override { return files_.config().moe; }
  void read(const std::string& name, std::span<float> out) const override;
  void read_state(const std::string& name, std::span<float> out) const override;

 private:
  ModelFiles files_;
};

/// Compares the model with its export twice, and throws an Error with exit code 74 if they differ.
///
/// Weights, one by one: what is stored in float32 is equal, and what is rounded differs by at most the
/// rounding of its type. So rows in a wrong order or a missing factor are found, however little they matter.
///
/// Logits of a short text: those of float32 are equal, because the same kernels compute the same weights.
/// Rounded weights must give logits within a tolerance. A weight is off by at most u of itself. The errors of
/// the m matrices of a way through the model are independent, so they add up to about u · √m. Four times that
/// is allowed, for the median over positions, because at single positions another expert may be chosen.
///
/// Returns that median: of |Δ logits| / |logits − their mean|. It needs the memory of the model in float32.
double compare_with_model(const ModelFiles& source, const ReadBack& written, StoredType type,
                          const std::filesystem::path& out);

}  // namespace granule
