#include "report/render.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "report/number.h"
#include "report/text.h"

namespace checkbit {
namespace {

Record record(const std::string& name, double value, const std::string& unit) {
  return {.name = name, .value = value, .unit = unit, .low = {}, .high = {}, .command = "cmd"};
}

Record with_interval(const std::string& name, double value, const std::string& unit, double low,
                     double high) {
  Record result = record(name, value, unit);
  result.low = low;
  result.high = high;
  return result;
}

TEST(Number, QuantitiesReadWell) {
  EXPECT_EQ(print_quantity(98362432, "bytes"), "98.4 MB");
  EXPECT_EQ(print_quantity(999, "bytes"), "999 bytes");
  EXPECT_EQ(print_quantity(999600, "bytes"), "1.00 MB") << "never 1,000 kB";
  EXPECT_EQ(print_quantity(25.3e9, "bytes"), "25.3 GB");
  EXPECT_EQ(print_quantity(21.37e9, "bytes/s"), "21.4 GB/s");
  EXPECT_EQ(print_quantity(472041101776, "products/s"), "472 billion products/s");
  EXPECT_EQ(print_quantity(1712, "tokens/s"), "1,712 tokens/s");
  EXPECT_EQ(print_quantity(0.1284, "share"), "12.8 %");
  EXPECT_EQ(print_quantity(0, "share"), "0 %");
  EXPECT_EQ(print_quantity(1234567, "tokens"), "1,234,567 tokens");
  EXPECT_EQ(print_quantity(-1234, ""), "-1,234");
  EXPECT_EQ(print_quantity(3.4912, "bits"), "3.49 bits");
  EXPECT_EQ(print_quantity(3.5, "bits"), "3.5 bits");
  EXPECT_EQ(print_quantity(0.02799, "nats"), "0.0280 nats");
  EXPECT_EQ(print_quantity(3.2e-9, "nats"), "3.2e-09 nats");
  EXPECT_EQ(print_quantity(0, ""), "0");
  EXPECT_EQ(print_quantity(std::nan(""), ""), "not a number");
  EXPECT_EQ(print_quantity(std::numeric_limits<double>::infinity(), ""), "infinite");
}

TEST(Number, IntervalsFixTheDigits) {
  EXPECT_EQ(print_with_interval(with_interval("p", 26.104, "", 23.41, 29.33)), "26.1 [23.4, 29.3]");
  EXPECT_EQ(print_with_interval(with_interval("r", 1.0496, "", 1.0441, 1.0553)), "1.050 ± 0.006");
  EXPECT_EQ(print_with_interval(with_interval("s", 0.1284, "share", 0.1215, 0.1353)),
            "12.8 % ± 0.7");
  EXPECT_EQ(print_with_interval(with_interval("t", 398, "tokens/s", 390, 407)),
            "398 tokens/s [390, 407]");
  EXPECT_EQ(print_with_interval(with_interval("m", 61834112, "bytes", 61.1e6, 62.5e6)),
            "61.8 MB ± 0.7");
  EXPECT_EQ(print_with_interval(with_interval("z", 1, "", 1, 1)), "1 ± 0");
}

std::vector<Record> some_records() {
  Record hash = record("logits_hash", 0, "");
  hash.text = "9f3a5c0d7e1b2a4f9f3a5c0d7e1b2a4f";
  return {with_interval("perplexity", 26.104, "", 23.41, 29.33),
          with_interval("kl_divergence_mean", 0.0612, "nats", 0.058, 0.0644),
          record("file_bytes", 61834112, "bytes"), record("scored_tokens", 4080, "tokens"), hash};
}

TEST(RenderTable, LinesUp) {
  EXPECT_EQ(render_table(some_records()),
            "perplexity            26.1       [23.4, 29.3]\n"
            "kl_divergence_mean  0.0612 nats  ± 0.0032\n"
            "file_bytes            61.8 MB\n"
            "scored_tokens        4,080 tokens\n"
            "logits_hash         9f3a5c0d7e1b2a4f9f3a5c0d7e1b2a4f\n");
  EXPECT_EQ(render_table({}), "");
}

TEST(RenderTable, NarrowTerminalsMoveTheInterval) {
  const std::string table = render_table(some_records(), {40, false});
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_NE(line.back(), ' ');
    if (line.find("hash") != std::string::npos) continue;  // never cut
    EXPECT_LE(display_width(line), 40U) << line;
  }
  EXPECT_NE(table.find("\n                    [23.4, 29.3]\n"), std::string::npos) << table;
}

TEST(RenderTable, ColourOnlyWhenAsked) {
  const std::string plain = render_table(some_records());
  EXPECT_EQ(plain.find('\033'), std::string::npos);
  std::string coloured = render_table(some_records(), {80, true});
  EXPECT_NE(coloured.find('\033'), std::string::npos);
  for (const std::string code : {"\033[1m", "\033[2m", "\033[0m"}) {
    for (std::size_t at; (at = coloured.find(code)) != std::string::npos;) {
      coloured.erase(at, code.size());
    }
  }
  EXPECT_EQ(coloured, plain) << "colour must not move columns";
}

TEST(RenderTable, HostileNamesCannotAct) {
  Record hostile = record("a\033[2Jb\nc", 1, "");
  hostile.text = "\033]0;x\007";
  const std::string table = render_table(std::vector<Record>{hostile});
  EXPECT_EQ(table, "a?[2Jb?c  ?]0;x?\n");
}

TEST(RenderJson, HasExactlyTheAgreedForm) {
  const auto root = nlohmann::json::parse(
      render_json(some_records(), {{"processor", "AMD"}, {"compiler", "gcc"}}));
  EXPECT_EQ(root.size(), 2U);
  ASSERT_EQ(root["records"].size(), 5U);
  const std::set<std::string> agreed = {"name", "value", "unit", "low", "high", "command"};
  for (const auto& entry : root["records"]) {
    std::set<std::string> keys;
    for (const auto& [key, value] : entry.items()) keys.insert(key);
    EXPECT_EQ(keys, agreed);
  }
  EXPECT_EQ(root["records"][0]["value"], 26.104);
  EXPECT_EQ(root["records"][0]["low"], 23.41);
  EXPECT_TRUE(root["records"][2]["low"].is_null());
  EXPECT_TRUE(root["records"][2]["value"].is_number_integer());
  EXPECT_EQ(root["records"][2]["value"], 61834112);
  EXPECT_EQ(root["records"][4]["value"], "9f3a5c0d7e1b2a4f9f3a5c0d7e1b2a4f");
  EXPECT_EQ(root["environment"]["processor"], "AMD");
}

TEST(RenderJson, NumbersKeepAllTheirBits) {
  for (const double value : {0.1, 1.0 / 3, 1e-300, 1e300, 9007199254740993.0, -0.5}) {
    const auto root =
        nlohmann::json::parse(render_json(std::vector<Record>{record("x", value, "")}, {}));
    EXPECT_EQ(root["records"][0]["value"].get<double>(), value);
  }
}

TEST(RenderJson, NumbersThatAreNotFiniteAreNullAndSaySo) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Record> records = {record("a", infinity, ""), record("b", -infinity, ""),
                                       record("c", std::nan(""), ""),
                                       with_interval("d", 1, "", -infinity, infinity)};
  const auto root = nlohmann::json::parse(render_json(records, {}));
  EXPECT_TRUE(root["records"][0]["value"].is_null());
  EXPECT_EQ(root["records"][0]["not_finite"], "inf");
  EXPECT_EQ(root["records"][1]["not_finite"], "-inf");
  EXPECT_EQ(root["records"][2]["not_finite"], "nan");
  EXPECT_TRUE(root["records"][3]["low"].is_null());
  EXPECT_FALSE(root["records"][3].contains("not_finite"));
}

TEST(RenderJson, ExtraFieldsFollowAndBadBytesAreReplaced) {
  const std::string json = render_json({}, {{"processor", "x\xFF"}},
                                       {{"text", "caf\xC3\xA9 \xFE"}, {"tokens", {1, 2, 3}}});
  const auto root = nlohmann::json::parse(json);
  EXPECT_EQ(root["text"], "café \xEF\xBF\xBD");
  EXPECT_EQ(root["tokens"].size(), 3U);
  EXPECT_TRUE(root["records"].empty() && root["records"].is_array());
  EXPECT_EQ(json.back(), '\n');
}

TEST(RenderJsonDeathTest, ReservedNamesAreBugs) {
  EXPECT_DEATH((void)render_json({}, {}, {{"records", 1}}), "contains");
  EXPECT_DEATH((void)render_json({}, {}, nlohmann::ordered_json::array()), "is_object");
}

TEST(Environment, NamesTheMachine) {
  const Environment facts = describe_environment();
  std::set<std::string> names;
  for (const auto& [name, value] : facts) {
    names.insert(name);
    EXPECT_FALSE(value.empty()) << name;
    EXPECT_EQ(clean_line(value), value) << name;
  }
  EXPECT_EQ(names.size(), facts.size()) << "a name occurs twice";
  for (const char* name : {"checkbit", "processor", "logical_cores", "cpu_limit", "memory",
                           "memory_limit", "instruction_sets", "system", "compiler", "time_utc"}) {
    EXPECT_EQ(names.count(name), 1U) << name;
  }
}

}  // namespace
}  // namespace checkbit
