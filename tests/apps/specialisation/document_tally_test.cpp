#include "apps/specialisation/document_tally.hpp"

#include "tests/support/catch.hpp"

using namespace granule;

namespace {

/// Every token of the document makes one choice. The first `count` of them choose expert 1, the rest expert
/// 0.
void add(DocumentTally& tally, std::int64_t document, std::int64_t tokens, std::int64_t count) {
  tally.enter(document, tokens);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens), 0);
  std::fill_n(ids.begin(), count, 1);
  tally.add(0, ids);
}

std::vector<std::int64_t> best(const DocumentTally& tally, std::int64_t expert) {
  std::vector<std::int64_t> documents;
  for (const DocumentCount& one : tally.best(0, expert)) documents.push_back(one.document);
  return documents;
}

}  // namespace

TEST_CASE("document_tally: the documents with the largest shares come first, and of equal ones the earlier") {
  DocumentTally tally(1, 2);
  add(tally, 0, 40, 20);
  add(tally, 2, 30, 20);
  add(tally, 3, 20, 10);
  add(tally, 5, 100, 20);
  add(tally, 6, 12, 12);
  add(tally, 7, 11, 9);  // too few choices to count
  tally.finish();
  CHECK(tally.documents() == 6);
  CHECK(best(tally, 1) == std::vector<std::int64_t>{6, 2, 0, 3, 5});
  CHECK(best(tally, 0) == std::vector<std::int64_t>{5, 0, 3, 2});
  CHECK(tally.best(0, 1)[1].count == 20);
  CHECK(tally.best(0, 1)[1].tokens == 30);
}

TEST_CASE("document_tally: parts of a document are one document, and only the best five are kept") {
  DocumentTally tally(1, 2);
  add(tally, 0, 20, 8);
  add(tally, 0, 10, 7);
  for (std::int64_t document = 1; document < 9; ++document) add(tally, document, 40, 10 + document);
  tally.finish();
  CHECK(best(tally, 1) == std::vector<std::int64_t>{0, 8, 7, 6, 5});
  CHECK(tally.best(0, 1)[0].count == 15);
  CHECK(tally.best(0, 1)[0].tokens == 30);
  CHECK(tally.documents() == 9);
}
