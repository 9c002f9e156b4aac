#include "data/imports/token_import.hpp"

#include <cstring>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;
using Documents = std::vector<std::vector<std::int32_t>>;

const fs::path kFiles = fs::path(fixtures_dir()) / "imports";
constexpr std::int64_t kVocabulary = 100;

// The documents that make_imports.py writes, without the empty one.
Documents written_documents() {
  Documents documents;
  for (int d = 0; d < 20; ++d) {
    std::vector<std::int32_t> ids;
    for (int t = 0; t < 3 + 7 * d % 11 - 1; ++t) ids.push_back((31 * d + 7 * t) % 90 + 5);
    ids.push_back(1);
    if (d != 9) documents.push_back(ids);
  }
  return documents;
}

Documents documents_of(const fs::path& set, Split split) {
  Documents documents;
  const TokenSource source(set, split);
  source.require_vocabulary(kVocabulary, "");
  for (const ShardReader& shard : source.shards()) {
    const auto offsets = shard.document_offsets();
    for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
      documents.emplace_back(static_cast<std::size_t>(offsets[d + 1] - offsets[d]));
      shard.read(offsets[d], documents.back());
    }
  }
  return documents;
}

ImportOptions options_for(TokenFormat format, const fs::path& file, const fs::path& out) {
  ImportOptions options;
  options.set.out = out;
  options.set.vocab_size = kVocabulary;
  options.format = format;
  options.files = {file};
  return options;
}

Documents imported(const ImportOptions& options) {
  import_tokens(options, nullptr);
  return documents_of(options.set.out, Split::train);
}

TEST_CASE("token_import: Megatron's pairs give the documents of their index, for every type of id") {
  for (const char* const name : {"u8", "i8", "i16", "i32", "i64", "u16", "sentences"}) {
    CAPTURE(name);
    const TempDir dir;
    const fs::path stem = kFiles / (std::string("megatron_") + name);
    CHECK(imported(options_for(TokenFormat::megatron, stem, dir / "a")) == written_documents());
    CHECK(imported(options_for(TokenFormat::megatron, stem.string() + ".bin", dir / "b")) ==
          written_documents());
    CHECK(imported(options_for(TokenFormat::megatron, stem.string() + ".idx", dir / "c")) ==
          written_documents());
  }
}

TEST_CASE("token_import: the tokens of an import are those of the file, byte for byte") {
  struct Case {
    TokenFormat format;
    const char* file;
    std::size_t header;
  };
  const auto chosen = GENERATE(values<Case>({{TokenFormat::megatron, "megatron_u16.bin", 0},
                                             {TokenFormat::llmc, "llmc_gpt2.bin", 1024},
                                             {TokenFormat::nanogpt, "nanogpt.bin", 0}}));
  const auto layout = GENERATE(Hdf5Layout::contiguous, Hdf5Layout::compressed);
  const TempDir dir;
  ImportOptions options = options_for(chosen.format, kFiles / chosen.file, dir / "set");
  options.set.layout = layout;
  import_tokens(options, nullptr);
  const TokenSource source(dir / "set", Split::train);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(source.summary().tokens));
  source.read(0, ids);
  std::string bytes;
  for (const std::int32_t id : ids) bytes += {static_cast<char>(id & 0xFF), static_cast<char>(id >> 8)};
  CHECK(bytes == read_file(kFiles / chosen.file).substr(chosen.header));
  CHECK(source.shards()[0].layout().element_size == 2);
  CHECK(source.shards()[0].mapped() == (layout == Hdf5Layout::contiguous));
}

TEST_CASE("token_import: files without an index are one document, or cut before or behind a given id") {
  const TempDir dir;
  Documents begun = written_documents();
  for (auto& document : begun) {
    document.insert(document.begin(), 2);
    document.pop_back();
  }
  ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "whole");
  CHECK(imported(options).size() == 1);
  options.marks.end = 1;
  options.set.out = dir / "end";
  CHECK(imported(options) == written_documents());
  CHECK(ShardReader(dir / "end/train-00000.h5").attributes().eos_id == 1);
  CHECK(ShardReader(dir / "end/train-00000.h5").attributes().bos_id == -1);
  for (const char* const file : {"llmc_gpt2.bin", "llmc_llama3.bin"}) {
    options = options_for(TokenFormat::llmc, kFiles / file, dir / file);
    options.marks.start = 2;
    CHECK(imported(options) == begun);
    CHECK(ShardReader(dir / file / "train-00000.h5").attributes().bos_id == 2);
  }
}

TEST_CASE("token_import: EOS is put behind documents only where asked, and only where it is missing") {
  const TempDir dir;
  ImportOptions options = options_for(TokenFormat::llmc, kFiles / "llmc_gpt2.bin", dir / "with");
  options.marks = {.start = 2, .end = 1};
  options.add_eos = AddEos::yes;
  for (const auto& document : imported(options)) {
    CHECK(document.front() == 2);
    CHECK(document.back() == 1);
  }
  options = options_for(TokenFormat::megatron, kFiles / "megatron_u8", dir / "has");
  options.marks.end = 1;
  options.add_eos = AddEos::yes;
  CHECK(imported(options) == written_documents());
}

TEST_CASE("token_import: several files are one after the other, and the splits hold every document once") {
  const TempDir dir;
  ImportOptions options = options_for(TokenFormat::megatron, kFiles / "megatron_u16", dir / "set");
  options.files.push_back(kFiles / "megatron_i64");
  options.set.val_fraction = 0.3;
  options.set.shard_tokens = 40;
  const DataSetReport report = import_tokens(options, nullptr);
  CHECK(report.train.shards > 2);
  Documents all = written_documents(), expected_train, expected_val;
  const Documents once = all;
  all.insert(all.end(), once.begin(), once.end());
  for (std::size_t d = 0; d < all.size(); ++d)
    (is_validation_document(static_cast<std::int64_t>(d), 0.3) ? expected_val : expected_train)
        .push_back(all[d]);
  REQUIRE_FALSE(expected_val.empty());
  CHECK(documents_of(dir / "set", Split::train) == expected_train);
  CHECK(documents_of(dir / "set", Split::val) == expected_val);
}

TEST_CASE("token_import: of two documents of ids one is held back, whole") {
  const TempDir dir;
  ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "set");
  options.files.push_back(kFiles / "nanogpt.bin");
  options.set.val_fraction = 0.01;
  const DataSetReport report = import_tokens(options, nullptr);
  CHECK(report.train.tokens == 147);
  CHECK(report.val.tokens == 147);
}

TEST_CASE("token_import: the tail of a single document is held back, counted in tokens") {
  const TempDir dir;
  ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "set");
  options.set.val_fraction = 0.1;
  const DataSetReport report = import_tokens(options, nullptr);
  CHECK(report.train.tokens == 147 - 14);
  CHECK(report.val.tokens == 14);
  CHECK(documents_of(dir / "set", Split::val).front().back() == 1);
}

TEST_CASE("token_import: without a tokenizer nothing is said of bytes; with one, what the ids stand for") {
  const TempDir dir;
  ImportOptions options = options_for(TokenFormat::nanogpt, dir / "ids.bin", dir / "without");
  const auto tokenizer = open_tokenizer(fs::path(fixtures_dir()) / "tokenizers/base.json");
  const std::vector<std::string> texts{"Call me Ishmael.", "caf\u00e9 \U0001F40B", "whale\n"};
  std::string bytes;
  for (const std::string& text : texts) {
    auto ids = tokenizer->encode(text);
    ids.push_back(1);
    for (const std::int32_t id : ids) bytes += {static_cast<char>(id & 0xFF), static_cast<char>(id >> 8)};
  }
  write_file(dir / "ids.bin", bytes);
  options.set.vocab_size = 700;
  options.marks.end = 1;
  import_tokens(options, nullptr);
  CHECK(ShardReader(dir / "without/train-00000.h5").document_bytes().empty());
  CHECK_FALSE(TokenSource(dir / "without", Split::train).summary().utf8_bytes.has_value());
  options.set.out = dir / "with";
  import_tokens(options, tokenizer.get());
  const ShardReader shard(dir / "with/train-00000.h5");
  REQUIRE(shard.document_bytes().size() == 3);
  for (std::size_t d = 0; d < 3; ++d) CHECK(shard.document_bytes()[d] == std::ssize(texts[d]));
  CHECK(shard.attributes().vocab_size == 700);  // that of the model, which is larger than the tokenizer's
  CHECK(shard.attributes().tokenizer_sha256 == tokenizer->sha256());
  CHECK(read_file(dir / "with/tokenizer.json") == read_file(tokenizer->path()));
}

// A file of the test data in which some bytes are replaced.
struct Damage {
  const char* what;
  const char* file;
  std::size_t at;
  std::string bytes;
  const char* message;
};

template <class T>
std::string as_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

TEST_CASE("token_import: a damaged index or header is refused by what is wrong with it") {
  using I32 = std::int32_t;
  using I64 = std::int64_t;
  using U64 = std::uint64_t;
  constexpr std::size_t kLengths = 34, kOffsets = kLengths + 4 * 20, kBounds = kOffsets + 8 * 20;
  const std::vector<Damage> damages{
      {"magic", "x.idx", 0, "PMIDIDX", "not an index of Megatron"},
      {"version", "x.idx", 9, as_bytes(U64{2}), "an index of version 2"},
      {"no type", "x.idx", 17, as_bytes('\0'), "type 0 is not one of integers"},
      {"float type", "x.idx", 17, as_bytes('\7'), "type 7 is not one of integers"},
      {"unknown type", "x.idx", 17, as_bytes('\x0A'), "type 10 is not one of integers"},
      {"wider type", "x.idx", 17, as_bytes('\4'), "begins at byte"},
      {"sequences", "x.idx", 18, as_bytes(U64{19}), "442 bytes, 19 sequences and 21 documents take 430"},
      {"modes", "x.idx", 442, std::string(20, '\0'), "the index has modes"},
      {"a longer file", "x.idx", 442, "?", "443 bytes, 20 sequences"},
      {"many sequences", "x.idx", 18, as_bytes(~U64{0}), "do not fit into 442 bytes"},
      {"many documents", "x.idx", 26, as_bytes(U64{1} << 61), "do not fit into 442 bytes"},
      {"a negative length", "x.idx", kLengths + 4, as_bytes(I32{-3}), "sequence 1 has -3 tokens"},
      {"a longer sequence", "x.idx", kLengths + 4, as_bytes(I32{30}), "sequence 2 begins at byte"},
      {"a longer last sequence", "x.idx", kLengths + 76, as_bytes(I32{9}), "147 tokens, the index counts"},
      {"an offset", "x.idx", kOffsets + 8, as_bytes(I64{8}),
       "sequence 1 begins at byte 8, the one before it ends at 6"},
      {"a first document", "x.idx", kBounds, as_bytes(I64{1}), "document 0 begins at sequence 1"},
      {"a falling document", "x.idx", kBounds + 16, as_bytes(I64{0}),
       "document 2 begins at sequence 0 of 20"},
      {"a document outside", "x.idx", kBounds + 160, as_bytes(I64{21}),
       "document 20 begins at sequence 21 of 20"},
      {"a negative document", "x.idx", kBounds + 8, as_bytes(I64{-1}), "document 1 begins at sequence -1"},
      {"documents that end early", "x.idx", kBounds + 160, as_bytes(I64{19}),
       "documents end at sequence 19 of 20"},
      {"a longer .bin", "x.bin", 294, as_bytes(I32{5}), "149 tokens, the index counts 147"},
      {"half an id", "x.bin", 294, "?", "295 bytes of ids, which are 2 bytes each"},
      {"an id outside", "x.bin", 20, as_bytes(std::int16_t{100}),
       "token 10 has id 100, outside the vocabulary of 100"},
      {"llm.c: magic", "l.bin", 0, as_bytes(I32{20240522}), "not a token file of llm.c"},
      {"llm.c: version", "l.bin", 4, as_bytes(I32{7}), "not a token file of llm.c"},
      {"llm.c: count", "l.bin", 8, as_bytes(I32{148}), "147 tokens, its header says 148"},
      {"llm.c: negative count", "l.bin", 8, as_bytes(I32{-1}), "147 tokens, its header says -1"},
      {"llm.c: longer", "l.bin", 1318, as_bytes(I32{1}), "149 tokens, its header says 147"},
      {"llm.c: half an id", "l.bin", 1318, "?", "295 bytes of ids"},
      {"llm.c: an id outside", "l.bin", 1026, as_bytes(std::uint16_t{65535}), "token 1 has id 65535"},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.what);
    const TempDir dir;
    fs::copy_file(kFiles / "megatron_u16.bin", dir / "x.bin");
    fs::copy_file(kFiles / "megatron_u16.idx", dir / "x.idx");
    fs::copy_file(kFiles / "llmc_gpt2.bin", dir / "l.bin");
    std::string bytes = read_file(dir / damage.file);
    bytes.resize(std::max(bytes.size(), damage.at + damage.bytes.size()));
    bytes.replace(damage.at, damage.bytes.size(), damage.bytes);
    write_file(dir / damage.file, bytes);
    const bool llmc = damage.file[0] == 'l';
    const auto options = options_for(llmc ? TokenFormat::llmc : TokenFormat::megatron,
                                     dir / (llmc ? "l.bin" : "x"), dir / "set");
    CHECK_THAT(user_error_of([&] { import_tokens(options, nullptr); }),
               Catch::Contains(damage.message) && Catch::Contains(fmt::format("/{}.", damage.file[0])));
    CHECK_FALSE(fs::exists(dir / "set"));
    CHECK_FALSE(fs::exists(dir / "set.partial"));
  }
}

TEST_CASE(
    "token_import: token files that are cut anywhere are refused, but for whole ids that nothing counts") {
  struct Case {
    TokenFormat format;
    const char* file;
  };
  const auto chosen = GENERATE(values<Case>({{TokenFormat::megatron, "megatron_u16.idx"},
                                             {TokenFormat::megatron, "megatron_u16.bin"},
                                             {TokenFormat::llmc, "llmc_gpt2.bin"}}));
  const TempDir dir;
  for (const char* const name : {"megatron_u16.bin", "megatron_u16.idx", "llmc_gpt2.bin"})
    fs::copy_file(kFiles / name, dir / name);
  const std::string whole = read_file(kFiles / chosen.file);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(chosen.file, length);
    write_file(dir / chosen.file, whole.substr(0, length));
    CHECK_THAT(
        user_error_of([&] { static_cast<void>(TokenFile::open(chosen.format, dir / chosen.file, {})); }),
        Catch::Contains(chosen.file));
  }
}

TEST_CASE("token_import: imports that cannot be are refused by the option") {
  const TempDir dir;
  write_file(dir / "empty.bin", "");
  write_file(dir / "odd.bin", "123");
  write_file(dir / "one.bin", "12");
  const auto error = [&](const std::function<void(ImportOptions&)>& change) {
    ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "set");
    change(options);
    return user_error_of([&] { import_tokens(options, nullptr); });
  };
  using O = ImportOptions;
  CHECK_THAT(error([](O& o) { o.set.vocab_size = 0; }),
             Catch::Contains("the vocabulary is not known (--vocab-size)"));
  CHECK_THAT(error([](O& o) { o.set.vocab_size = -3; }), Catch::Contains("a vocabulary of -3"));
  CHECK_THAT(error([](O& o) { o.set.vocab_size = 40; }), Catch::Contains("outside the vocabulary of 40"));
  CHECK_THAT(error([](O& o) { o.marks.start = 100; }), Catch::Contains("id 100 is outside"));
  CHECK_THAT(error([](O& o) { o.marks.end = -1; }), Catch::Contains("(--document-end)"));
  CHECK_THAT(error([](O& o) { o.add_eos = AddEos::yes; }),
             Catch::Contains("the id of EOS is not known (--add-eos)"));
  CHECK_THAT(error([](O& o) { o.set.val_fraction = 1; }), Catch::Contains("--val-fraction"));
  CHECK_THAT(error([](O& o) { o.set.shard_tokens = 0; }), Catch::Contains("--shard-tokens"));
  CHECK_THAT(error([&](O& o) { o.files = {dir / "empty.bin"}; }), Catch::Contains("there are no tokens"));
  CHECK_THAT(error([&](O& o) { o.files = {dir / "odd.bin"}; }), Catch::Contains("3 bytes of ids"));
  CHECK_THAT(error([&](O& o) { o.files = {dir / "absent.bin"}; }), Catch::Contains("No such file"));
  CHECK_THAT(error([&](O& o) { o.files = {kFiles / "llmc_gpt2.bin"}; }),
             Catch::Contains("this is a file of llm.c"));
  CHECK_THAT(error([&](O& o) { o.format = TokenFormat::llmc; }),
             Catch::Contains("not a token file of llm.c"));
  CHECK_THAT(error([&](O& o) { o.format = TokenFormat::megatron; }), Catch::Contains("nanogpt.idx"));
  CHECK_THAT(error([&](O& o) {
               o.files = {dir / "one.bin"};
               o.set.vocab_size = 20000;
               o.set.val_fraction = 0.5;
             }),
             Catch::Contains("too few tokens to hold any back"));
  const auto tokenizer = open_tokenizer(fs::path(fixtures_dir()) / "tokenizers/base.json");
  ImportOptions options = options_for(TokenFormat::nanogpt, kFiles / "nanogpt.bin", dir / "set");
  CHECK_THAT(user_error_of([&] { import_tokens(options, tokenizer.get()); }),
             Catch::Contains("a vocabulary of 100, the tokenizer has 660"));
  options.set.vocab_size = 0;
  options.marks.end = 5;
  CHECK_THAT(user_error_of([&] { import_tokens(options, tokenizer.get()); }),
             Catch::Contains("id 5 is not the tokenizer's EOS, which is 1"));
  CHECK_FALSE(fs::exists(dir / "set"));
}

}  // namespace
}  // namespace granule
