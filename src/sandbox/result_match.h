// Are two query results the same answer? (execution match)
//
// What: the same number of columns, and the same rows: as a multiset, or in order when the query
//   that is known to be right orders its rows. Columns stand in order; their names do not count.
// Values: NULL is NULL; an integer and a real are equal when they are the same number within
//   a billionth of its size (sums depend on the order of rows); text is equal byte by byte; text
//   never equals a number.
// Reference: T. Yu and others, "Spider: a large-scale human-labeled dataset for text-to-SQL", 2018
//   (execution accuracy).
#pragma once

#include <string_view>

#include "sandbox/sql.h"

namespace checkbit {

bool same_rows(const std::vector<SqlRow>& a, const std::vector<SqlRow>& b, bool in_order);

/// Does the query order its result: ORDER BY outside parentheses, texts and comments?
bool orders_rows(std::string_view query);

/// Both ran, and `same_rows` in the order that `gold_query` asks for.
bool execution_match(const SqlOutcome& answer, const SqlOutcome& gold, std::string_view gold_query);

}  // namespace checkbit
