-- What `history` writes: each statement for the users numbered :first to :last, with their past at one activity.
-- One connection runs the statements of a part in order; parts run side by side.

-- part: events, instances, executions, items
INSERT INTO event (source, id, type, user_id, channel, data, body_hash, at, routed_at, outcome)
SELECT 'past', 'b' || n, 'behaviour', 'u' || n, %(rule_key)s,
    jsonb_build_object('user_id', 'u' || n, 'rule_key', %(rule_key)s::text), md5('b' || n), at, at, 'routed'
FROM (
    SELECT n, now() - interval '1 day' * (1 + mod(n, 20)) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
) AS users;

INSERT INTO instance (user_id, activity_code, epoch, prepared_epoch, prepared_source, prepared_event_id, prepared_at)
SELECT 'u' || n, %(activity)s, 1, 1, 'past', 'b' || n, now() - interval '1 day' * (1 + mod(n, 20))
FROM generate_series(%(first)s::int, %(last)s::int) AS n;

INSERT INTO execution (id, user_id, activity_code, activity_version, link, channel_code, event_source, event_id, locked,
    epoch, outcome, trace, business_at, created_at, finished_at)
SELECT md5('e' || n)::uuid, 'u' || n, %(activity)s, 1, 'prepare', %(rule_key)s, 'past', 'b' || n, true, 1, 'prepared',
    '[{"step": "query_item", "outcome": "ran", "ms": 0.4}, {"step": "recall_item", "outcome": "ran", "ms": 0.1},
      {"step": "save_prepared", "outcome": "ran", "ms": 0.2}, {"step": "record_event", "outcome": "ran", "ms": 0.1}]',
    at, at, at
FROM (
    SELECT n, now() - interval '1 day' * (1 + mod(n, 20)) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
) AS users;

INSERT INTO user_item (user_id, item_id, actions, quantity, last_action, last_at)
SELECT 'u' || n, mod(n + k, %(items)s::int)::text, 1 + k, 1, 'view', now() - interval '1 day' * (1 + mod(n, 20))
FROM generate_series(%(first)s::int, %(last)s::int) AS n, generate_series(0, 1) AS k;

-- part: profiles, actions, grants, assets
INSERT INTO user_profile (user_id, attributes)
SELECT 'u' || n, '{"level": "gold"}' FROM generate_series(%(first)s::int, %(last)s::int) AS n ON CONFLICT DO NOTHING;

INSERT INTO user_action (user_id, at, event_source, event_id, action, item_id)
SELECT 'u' || n, now() - interval '1 day' * (1 + mod(n, 20)) - interval '1 hour' * k, 'past', 'a' || n || '-' || k,
    'view', mod(n + k, %(items)s::int)::text
FROM generate_series(%(first)s::int, %(last)s::int) AS n, generate_series(0, 1) AS k;

INSERT INTO grant_record (id, user_id, activity_code, activity_version, will_send_count, idempotency_id, execution_id,
    event_source, event_id, state, lines, value_minor, day, business_at, settled_at)
SELECT md5('g' || n)::uuid, 'u' || n, %(activity)s, 1, 1, %(activity)s::text || ':u' || n || ':1', md5('v' || n)::uuid,
    'past', 'v' || n, 'granted', '[{"line": 0, "kind": "coupon", "benefit": "c", "details": {}, "value_minor": 500}]', 500,
    at::date, at, at
FROM (
    SELECT n, now() - interval '1 day' * (1 + mod(n, 20)) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
) AS users
WHERE mod(n, 5) = 0;

INSERT INTO asset (id, user_id, activity_code, grant_id, line, benefit_code, kind, status, value_minor, currency,
    details, valid_from, valid_until, status_at)
SELECT md5('t' || n)::uuid, 'u' || n, %(activity)s, md5('g' || n)::uuid, 0, 'c', 'coupon', 'redeemed', 500, 'USD', '{}',
    at, at + interval '30 days', at
FROM (
    SELECT n, now() - interval '1 day' * (1 + mod(n, 20)) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) AS n
) AS users
WHERE mod(n, 5) = 0;
