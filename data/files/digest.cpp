#include "data/files/digest.hpp"

#include <array>
#include <fstream>
#include <memory>
#include <vector>

#include <openssl/evp.h>
#include <xxhash.h>

#include "core/error.hpp"
#include "core/interruption.hpp"
#include "core/movement.hpp"
#include "data/files/disk.hpp"

namespace granule {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 20;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    GRANULE_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "no SHA-256");
  }
  void add(std::span<const std::byte> bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

template <class Digest>
std::string digest_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_unreadable(path);
  Digest digest;
  std::vector<char> chunk(kChunk);
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), file.gcount() > 0) {
    digest.add(std::as_bytes(std::span(chunk)).first(static_cast<std::size_t>(file.gcount())));
    interruption_point();
    note_movement();
  }
  if (file.bad() || !file.eof()) user_error("reading failed", path.string(), "check the disk");
  return digest.finish();
}

}  // namespace

Xxh3::Xxh3() : state_(XXH3_createState()) {
  GRANULE_ASSERT(state_ && XXH3_64bits_reset(state_.get()) == XXH_OK, "no XXH3");
}

void Xxh3::Free::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

void Xxh3::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

std::string Xxh3::finish() const {
  return fmt::format("{:016x}", XXH3_64bits_digest(state_.get()));
}

std::string sha256_of_file(const std::filesystem::path& path) {
  return digest_file<Sha256>(path);
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.add(bytes);
  return digest.finish();
}

std::string xxh3_of(std::span<const std::byte> bytes) {
  return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

std::string xxh3_of_file(const std::filesystem::path& path) {
  return digest_file<Xxh3>(path);
}

}  // namespace granule
