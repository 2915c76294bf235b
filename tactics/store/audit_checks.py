"""What the audit checks: each is a statement that gives the offending rows, and the sentence that goes with one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    `sql` gives the rows where it does not (of `holdout`: candidates, which the domain sifts); `sentence` is filled from
    a row.
    """

    name: str
    description: str
    sentence: str
    sql: str


_STOCK = Check(
    "stock",
    "stock left = initial + movements - granted - reserved, and never below zero",
    "benefit {benefit} of {activity}: {remaining} remain, but {stock_initial} initial + {moved} moved - {granted} granted "
    "- {reserved} reserved = {expected}",
    """
    WITH taken AS (
        SELECT g.activity_code, line.value ->> 'benefit' AS code,
               count(*) FILTER (WHERE g.state = 'granted') AS granted,
               count(*) FILTER (WHERE g.state <> 'granted') AS reserved
        FROM grant_record g CROSS JOIN LATERAL jsonb_array_elements(g.lines) AS line (value)
        WHERE g.state <> 'refused' AND line.value ->> 'benefit' IS NOT NULL
        GROUP BY 1, 2
    ), moved AS (
        SELECT activity_code, benefit_code AS code, sum(delta)::bigint AS moved FROM stock_movement GROUP BY 1, 2
    ), sums AS (
        SELECT activity_code AS activity, code AS benefit, b.stock_initial, coalesce(m.moved, 0) AS moved,
               coalesce(t.granted, 0) AS granted, coalesce(t.reserved, 0) AS reserved, b.remaining,
               b.stock_initial + coalesce(m.moved, 0) - coalesce(t.granted, 0) - coalesce(t.reserved, 0) AS expected,
               b.code IS NOT NULL AS known
        FROM benefit b FULL JOIN taken t USING (activity_code, code) LEFT JOIN moved m USING (activity_code, code)
    )
    SELECT * FROM sums WHERE NOT known OR remaining IS DISTINCT FROM expected OR remaining < 0 ORDER BY 1, 2
    """,
)

_GRANT_COUNT = Check(
    "grant_count",
    "one grant for each activity, user and count",
    "{grants} grants to user {user_id} from {activity} have count {will_send_count}",
    """
    SELECT activity_code AS activity, user_id, will_send_count, count(*) AS grants, array_agg(id::text) AS grant_ids
    FROM grant_record GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3
    """,
)

_GRANT_EXECUTION = Check(
    "grant_execution",
    "one grant for each execution",
    "execution {execution_id} made {grants} grants",
    """
    SELECT execution_id, count(*) AS grants, array_agg(id::text) AS grant_ids, array_agg(user_id) AS user_ids
    FROM grant_record GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
    """,
)

_GRANT_BEST_ONLY = Check(
    "grant_best_only",
    "one grant, refused ones aside, for each event that asked for the best only",
    "event {event_id} of {event_source} asked for the best only and made {grants} grants to user {user_id}",
    """
    SELECT user_id, event_source, event_id, count(*) AS grants, array_agg(id::text) AS grant_ids
    FROM grant_record WHERE best_only AND state <> 'refused'
    GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3
    """,
)

_GRANT_VERSION = Check(
    "grant_version",
    "every grant names a version of its activity",
    "grant {grant_id} was made under version {version} of {activity}, which does not exist",
    """
    SELECT g.id AS grant_id, g.user_id, g.activity_code AS activity, g.activity_version AS version
    FROM grant_record g
    LEFT JOIN activity_version v ON v.activity_code = g.activity_code AND v.version = g.activity_version
    WHERE v.version IS NULL ORDER BY 3, 2, 1
    """,
)

_GRANT_LINES = Check(
    "grant_lines",
    "a granted grant has exactly one asset a line, of the line's benefit, kind and value; any other grant has none",
    "grant {grant_id} ({state}), line {line}: granted {line_kind} {line_benefit} worth {line_value}, "
    "{assets} assets, held {asset_kind} {asset_benefit} worth {asset_value}",
    """
    WITH line AS (
        SELECT g.user_id, g.id AS grant_id, (line.value ->> 'line')::integer AS line, line.value ->> 'kind' AS kind,
               line.value ->> 'benefit' AS benefit, (line.value ->> 'value_minor')::bigint AS value_minor
        FROM grant_record g CROSS JOIN LATERAL jsonb_array_elements(g.lines) AS line (value)
        WHERE g.state = 'granted'
    ), held AS (
        SELECT user_id, grant_id, line, kind, benefit_code AS benefit, value_minor,
               count(*) OVER (PARTITION BY user_id, grant_id, line) AS assets
        FROM asset
    )
    SELECT pair.grant_id, pair.user_id, g.activity_code AS activity, g.state, pair.line, line.kind AS line_kind,
           line.benefit AS line_benefit, line.value_minor AS line_value, coalesce(held.assets, 0) AS assets,
           held.kind AS asset_kind, held.benefit AS asset_benefit, held.value_minor AS asset_value
    FROM line FULL JOIN held USING (user_id, grant_id, line) AS pair
    JOIN grant_record g ON g.user_id = pair.user_id AND g.id = pair.grant_id
    WHERE coalesce(held.assets, 0) <> 1 OR line.kind IS DISTINCT FROM held.kind
       OR line.benefit IS DISTINCT FROM held.benefit OR line.value_minor IS DISTINCT FROM held.value_minor
    ORDER BY 1, 5
    """,
)

_ASSET_GRANT = Check(
    "asset_grant",
    "every asset belongs to a grant of its user and activity",
    "asset {asset_id} of user {user_id} names grant {grant_id}, which is none of {activity}",
    """
    SELECT a.id AS asset_id, a.user_id, a.activity_code AS activity, a.grant_id, a.line, a.status
    FROM asset a
    LEFT JOIN grant_record g ON g.user_id = a.user_id AND g.id = a.grant_id AND g.activity_code = a.activity_code
    WHERE g.id IS NULL ORDER BY 3, 2, 1
    """,
)

_COUNT_GAPS = Check(
    "count_gaps",
    "the grants of an activity to a user are counted 1, 2, 3 … without gaps",
    "the grants to user {user_id} from {activity} are counted {counts}",
    """
    SELECT activity_code AS activity, user_id, array_agg(DISTINCT will_send_count) AS counts
    FROM grant_record GROUP BY 1, 2
    HAVING min(will_send_count) <> 1 OR max(will_send_count) <> count(DISTINCT will_send_count) ORDER BY 1, 2
    """,
)

_USABLE_GRANTS = Check(
    "usable_grants",
    "a user holds usable assets of at most one grant of an activity, released redemptions aside",
    "user {user_id} holds usable assets of {grants} grants of {activity}",
    """
    SELECT g.activity_code AS activity, g.user_id, count(*) AS grants, array_agg(g.id::text) AS grant_ids
    FROM grant_record g
    WHERE NOT g.released AND EXISTS (
        SELECT FROM asset a
        WHERE a.user_id = g.user_id AND a.grant_id = g.id AND a.status IN ('available', 'claimed'))
    GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2
    """,
)

_USABLE_FLAG = Check(
    "usable_flag",
    "a grant is marked usable exactly while an asset of it is available or claimed",
    "grant {grant_id} to user {user_id} has usable = {usable}, its assets are {statuses}",
    """
    SELECT g.id AS grant_id, g.user_id, g.activity_code AS activity, g.usable, held.statuses
    FROM grant_record g
    LEFT JOIN (
        SELECT user_id, grant_id, bool_or(status IN ('available', 'claimed')) AS live, array_agg(status) AS statuses
        FROM asset GROUP BY 1, 2
    ) AS held ON held.user_id = g.user_id AND held.grant_id = g.id
    WHERE g.usable <> coalesce(held.live, false) ORDER BY 3, 2, 1
    """,
)

# Every grant is judged by the version that made it, so that a limit lowered later accuses nobody and one raised later
# excuses nobody. Counts rise within an instance; across users there is no such order, so that the sum of what is counted
# is held against the largest limit under which a part of it was made: the last of them was within its own.
_COUNTED = """
    every AS (
        SELECT g.state = 'refused' AS refused, g.id, g.user_id, g.activity_code, g.activity_version, g.will_send_count, g.day, g.value_minor,
               to_char(g.business_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI') AS minute,
               (v.definition -> 'limits' ->> 'per_user')::bigint AS per_user,
               (v.definition -> 'limits' ->> 'per_day')::bigint AS per_day,
               (v.definition -> 'limits' ->> 'budget_minor')::bigint AS budget_minor,
               (v.definition -> 'limits' ->> 'grants_per_minute')::bigint AS per_minute,
               (v.definition -> 'limits' ->> 'cost_per_minute_minor')::bigint AS cost_per_minute
        FROM grant_record g
        JOIN activity_version v ON v.activity_code = g.activity_code AND v.version = g.activity_version
    ), judged AS (
        SELECT * FROM every WHERE NOT refused
    ), counted AS (
        SELECT activity_code, 'day' AS scope, to_char(day, 'YYYY-MM-DD') AS period, count(*) AS used,
               max(per_day) AS most
        FROM judged WHERE per_day IS NOT NULL GROUP BY 1, 3
        UNION ALL
        SELECT activity_code, 'budget', '', sum(value_minor)::bigint, max(budget_minor)
        FROM judged WHERE budget_minor IS NOT NULL GROUP BY 1
        UNION ALL
        SELECT activity_code, 'minute', minute, count(*), max(per_minute)
        FROM judged WHERE per_minute IS NOT NULL GROUP BY 1, 3
        UNION ALL
        SELECT activity_code, 'minute_cost', minute, sum(value_minor)::bigint, max(cost_per_minute)
        FROM judged WHERE cost_per_minute IS NOT NULL GROUP BY 1, 3
    )
"""

_LIMIT_USER = Check(
    "limit_user",
    "no user got more grants than the limit per user under which each was made",
    "grant {grant_id} is number {taken} of user {user_id} from {activity}, at most {most} under version {version}",
    f"""
    WITH {_COUNTED}
    SELECT * FROM (
        SELECT id AS grant_id, user_id, activity_code AS activity, activity_version AS version, will_send_count,
               row_number() OVER (PARTITION BY user_id, activity_code ORDER BY will_send_count, id) AS taken,
               per_user AS most
        FROM judged) AS ranked
    WHERE taken > most ORDER BY activity, user_id, taken
    """,  # noqa: S608  # put together from constants
)

# A version that sets a limit counts what was given before it, so grants under versions without may be counted too; one
# that came after, from an execution that had begun before, is not. Without such versions both bounds are one number.
# A minute also counts what was refused later, by an outside system; and minutes of long ago are not kept.
_LIMIT_COUNTERS = Check(
    "limit_counters",
    "the counters of limits per day and minute, and of budgets, equal what the grants add up to",
    "{activity}, {scope} {period}: the counter says {counter}, the grants add up to {grants}, "
    "{without} of it given under versions without this limit, or refused within a minute",
    f"""
    WITH {_COUNTED}, limited AS (
        SELECT activity_code,
               max(version) FILTER (WHERE definition -> 'limits' ->> 'per_day' IS NOT NULL) AS day_until,
               max(version) FILTER (WHERE definition -> 'limits' ->> 'budget_minor' IS NOT NULL) AS budget_until,
               max(version) FILTER (WHERE definition -> 'limits' ->> 'grants_per_minute' IS NOT NULL) AS minute_until,
               max(version) FILTER (WHERE definition -> 'limits' ->> 'cost_per_minute_minor' IS NOT NULL) AS cost_until
        FROM activity_version GROUP BY 1
    ), sums AS (
        SELECT activity_code, 'day' AS scope, to_char(day, 'YYYY-MM-DD') AS period, count(*) AS grants,
               count(*) FILTER (WHERE per_day IS NULL) AS without
        FROM judged JOIN limited USING (activity_code) WHERE activity_version <= day_until GROUP BY 1, 3
        UNION ALL
        SELECT activity_code, 'budget', '', sum(value_minor)::bigint,
               coalesce(sum(value_minor) FILTER (WHERE budget_minor IS NULL), 0)::bigint
        FROM judged JOIN limited USING (activity_code) WHERE activity_version <= budget_until GROUP BY 1
        UNION ALL
        SELECT activity_code, 'minute', minute, count(*), count(*) FILTER (WHERE per_minute IS NULL OR refused)
        FROM every JOIN limited USING (activity_code) WHERE activity_version <= minute_until GROUP BY 1, 3
        UNION ALL
        SELECT activity_code, 'minute_cost', minute, sum(value_minor)::bigint,
               coalesce(sum(value_minor) FILTER (WHERE cost_per_minute IS NULL OR refused), 0)::bigint
        FROM every JOIN limited USING (activity_code) WHERE activity_version <= cost_until GROUP BY 1, 3
    )
    SELECT activity_code AS activity, scope, period, l.used AS counter, coalesce(s.grants, 0) AS grants,
           coalesce(s.without, 0) AS without
    FROM sums s FULL JOIN limit_counter l USING (activity_code, scope, period)
    WHERE coalesce(l.used, 0) NOT BETWEEN coalesce(s.grants - s.without, 0) AND coalesce(s.grants, 0)
        AND (scope IN ('day', 'budget') OR l.used IS NOT NULL) ORDER BY 1, 2, 3
    """,  # noqa: S608  # put together from constants
)

_LIMITS = Check(
    "limits",
    "grants of a day or a minute, their value, and the value of all stay within the limits under which they were made",
    "{activity}, {scope} {period}: the grants add up to {used}, at most {most}",
    f"""
    WITH {_COUNTED}
    SELECT activity_code AS activity, scope, period, c.used, most
    FROM counted c LEFT JOIN limit_counter l USING (activity_code, scope, period)
    WHERE c.used > most AND (scope IN ('day', 'budget') OR l.used IS NOT NULL) ORDER BY 1, 2, 3
    """,  # noqa: S608  # put together from constants
)

_HOLDOUT = Check(
    "holdout",
    "users of the control group got nothing",
    "grant {grant_id} went to user {user_id}, whom version {version} of {activity} holds out",
    """
    SELECT g.id AS grant_id, g.user_id, g.activity_code AS activity, g.activity_version AS version
    FROM grant_record g
    JOIN activity_version v ON v.activity_code = g.activity_code AND v.version = g.activity_version
    WHERE (v.definition ->> 'holdout_percent')::integer > 0 ORDER BY 3, 2, 1
    """,
)

_POOL_CODES = Check(
    "pool_codes",
    "each code of a pool was given once, to the one asset that carries it",
    "code {code} of benefit {benefit} of {activity} {problem}",
    """
    SELECT p.activity_code AS activity, p.benefit_code AS benefit, p.code, p.asset_id,
           'was given to an asset that does not carry it' AS problem
    FROM benefit_code p
    LEFT JOIN asset a ON a.id = p.asset_id AND a.activity_code = p.activity_code
        AND a.benefit_code = p.benefit_code AND a.details ->> 'code' = p.code
    WHERE p.asset_id IS NOT NULL AND a.id IS NULL
    UNION ALL
    SELECT a.activity_code, a.benefit_code, a.details ->> 'code', a.id, 'is carried by an asset that was not given it'
    FROM asset a
    JOIN grant_record g ON g.user_id = a.user_id AND g.id = a.grant_id
    JOIN activity_version v ON v.activity_code = g.activity_code AND v.version = g.activity_version
    LEFT JOIN benefit_code p ON p.asset_id = a.id AND p.activity_code = a.activity_code
        AND p.benefit_code = a.benefit_code AND p.code = a.details ->> 'code'
    WHERE v.definition -> 'benefits' -> a.benefit_code -> 'codes' IS NOT NULL AND p.code IS NULL
    UNION ALL
    SELECT activity_code, benefit_code, code, NULL, 'is in the pool more than once'
    FROM benefit_code GROUP BY 1, 2, 3 HAVING count(*) > 1
    ORDER BY 1, 2, 3, 5
    """,
)

_SEGMENTS = Check(
    "segments",
    "every committed segment ran for the attempt that was current",
    "execution {execution_id}: segments ran for attempts {segments}, current were {segment_attempts}",
    """
    SELECT id AS execution_id, user_id, activity_code AS activity, segments, segment_attempts
    FROM execution WHERE segments <> segment_attempts ORDER BY 1
    """,
)

_OUTCOMES = Check(
    "outcomes",
    "an execution has an outcome exactly when it is finished",
    "execution {execution_id}: finished at {finished_at}, outcome {outcome}",
    """
    SELECT id AS execution_id, user_id, activity_code AS activity, finished_at, outcome
    FROM execution WHERE (finished_at IS NULL) <> (outcome IS NULL) ORDER BY 1
    """,
)

_FORGOTTEN = Check(
    "forgotten",
    "what has not ended, an event or an execution, is due again at some time",
    "{what} {id} has not ended after attempt {attempts}, and nothing will try it again",
    """
    SELECT 'execution' AS what, id::text AS id, user_id, activity_code AS activity, attempts
    FROM execution WHERE finished_at IS NULL AND next_attempt_at IS NULL
    UNION ALL
    SELECT 'event', id, user_id, source, attempts
    FROM event WHERE routed_at IS NULL AND parked_reason IS NULL AND next_attempt_at IS NULL
    ORDER BY 1, 2
    """,
)

_EPOCHS = Check(
    "epochs",
    "an instance was prepared under an epoch that it has had",
    "instance {activity} of user {user_id} is at epoch {epoch} and says it was prepared under {prepared_epoch}",
    """
    SELECT activity_code AS activity, user_id, epoch, prepared_epoch, prepared_event_id
    FROM instance
    WHERE prepared_epoch > epoch OR (prepared_epoch IS NULL) <> (prepared_event_id IS NULL) ORDER BY 1, 2
    """,
)

ALL: tuple[Check, ...] = (
    _STOCK,
    _GRANT_COUNT,
    _GRANT_EXECUTION,
    _GRANT_BEST_ONLY,
    _GRANT_VERSION,
    _GRANT_LINES,
    _ASSET_GRANT,
    _COUNT_GAPS,
    _USABLE_GRANTS,
    _USABLE_FLAG,
    _LIMIT_USER,
    _LIMIT_COUNTERS,
    _LIMITS,
    _HOLDOUT,
    _POOL_CODES,
    _SEGMENTS,
    _OUTCOMES,
    _FORGOTTEN,
    _EPOCHS,
)
