-- The grant, as one call: what DESIGN calls its transaction's part. The caller holds the instance row's lock.
--
-- Statements in this order, for rows lock in the order instance, activity's counters, benefit, minute: due assets expire; a
-- usable one ends it (`reused`); then control group, open grant, limit per user; then the record, its assets, codes,
-- outbox row, and last the counters, the stock, and the minute's counters, which are hot. What is not there takes back all
-- that was written.
--
-- With a provider the benefit is an outside system's to give: the record is `pending`, codes, counters and stock are taken
-- as ever, and assets and outbox row come when the grant is settled.
--
-- `outcome`: granted, reserved (with a provider), reused, holdout, pending, limit_user, limit_day, limit_budget,
-- loss_grants, loss_cost (a minute's worth is given), no_code, sold_out, or rival: one of the unique keys is taken, and the
-- caller looks up by which grant. `detail`: the open grant's id, the benefit that is sold out. `will_send_count`: which
-- grant this is, or would be; for limit_user, how many there were. `codes`: asset id → code.
CREATE FUNCTION tactics_grant_benefit(
    p_user text, p_activity text, p_version int, p_grant uuid, p_execution uuid, p_source text, p_event text,
    p_best_only boolean, p_lines jsonb, p_value bigint, p_assets jsonb, p_notice jsonb, p_benefits text[],
    p_needed bigint[], p_pools text[], p_at timestamptz, p_day date, p_assets_unknown boolean, p_held_out boolean,
    p_per_user bigint, p_per_day bigint, p_budget bigint,
    p_provider text DEFAULT NULL, p_per_minute bigint DEFAULT NULL, p_cost_per_minute bigint DEFAULT NULL,
    OUT outcome text, OUT will_send_count int, OUT detail text, OUT codes jsonb
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_usable int;
    v_due int;
    v_highest int;
    v_taken bigint;
    v_open uuid;
    v_pool text;
    v_detail text;
    v_minute text := to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI');
BEGIN
    SELECT count(*) FILTER (WHERE valid_until > p_at), count(*) FILTER (WHERE valid_until <= p_at)
        INTO v_usable, v_due
        FROM asset
        WHERE user_id = p_user AND activity_code = p_activity AND status IN ('available', 'claimed');
    IF v_due > 0 THEN
        PERFORM tactics_expire_assets(p_user, p_activity, p_at);
    END IF;
    IF v_usable > 0 THEN
        outcome := 'reused';
        RETURN;
    END IF;
    IF p_held_out THEN
        outcome := 'holdout';
        RETURN;
    END IF;

    SELECT coalesce(max(will_send_count), 0), count(*) FILTER (WHERE state <> 'refused'),
           (array_agg(id) FILTER (WHERE state IN ('pending', 'unknown', 'parked')))[1]
        INTO v_highest, v_taken, v_open
        FROM grant_record
        WHERE user_id = p_user AND activity_code = p_activity;
    IF v_open IS NOT NULL THEN
        outcome := 'pending';
        detail := v_open::text;
        RETURN;
    END IF;
    -- Without an answer of the asset query the count is taken as none: a repeat user meets the replay of grant 1.
    IF v_taken >= p_per_user AND NOT (p_assets_unknown AND v_taken > 0) THEN
        outcome := 'limit_user';
        will_send_count := v_taken;
        RETURN;
    END IF;
    will_send_count := CASE WHEN p_assets_unknown THEN 1 ELSE v_highest + 1 END;

    BEGIN
        INSERT INTO grant_record (
            id, user_id, activity_code, activity_version, will_send_count, idempotency_id, execution_id, event_source,
            event_id, best_only, state, usable, lines, value_minor, day, assets_unknown, business_at, settled_at)
        VALUES (
            p_grant, p_user, p_activity, p_version, tactics_grant_benefit.will_send_count,
            p_activity || ':' || p_user || ':' || tactics_grant_benefit.will_send_count, p_execution, p_source, p_event,
            p_best_only, CASE WHEN p_provider IS NULL THEN 'granted' ELSE 'pending' END, p_provider IS NULL, p_lines,
            p_value, p_day, p_assets_unknown, p_at, CASE WHEN p_provider IS NULL THEN p_at END)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            outcome := 'rival';
            RETURN;
        END IF;
        FOREACH v_pool IN ARRAY p_pools LOOP
            codes := coalesce(codes, '{}') || tactics_take_codes(p_activity, v_pool, p_assets);
        END LOOP;
        IF p_provider IS NULL THEN
            INSERT INTO asset (
                id, user_id, activity_code, grant_id, line, benefit_code, kind, status, value_minor, currency, details,
                valid_from, valid_until, status_at)
            SELECT one.id, p_user, p_activity, p_grant, one.line, one.benefit_code, one.kind, 'available', one.value_minor,
                   one.currency,
                   CASE WHEN tactics_grant_benefit.codes ? one.id::text
                        THEN one.details || jsonb_build_object('code', tactics_grant_benefit.codes -> one.id::text)
                        ELSE one.details END,
                   p_at, one.valid_until, p_at
            FROM jsonb_to_recordset(p_assets) AS one (
                id uuid, line int, benefit_code text, kind text, value_minor bigint, currency text, details jsonb,
                valid_until timestamptz);
            INSERT INTO outbox (topic, key, payload) VALUES (
                'tactics.granted', p_activity || ':' || p_user || ':' || tactics_grant_benefit.will_send_count,
                p_notice || jsonb_build_object('will_send_count', tactics_grant_benefit.will_send_count)
                    || CASE WHEN tactics_grant_benefit.codes IS NULL THEN '{}'::jsonb
                            ELSE tactics_notice_codes(p_notice, tactics_grant_benefit.codes) END);
        END IF;

        IF p_per_day IS NOT NULL AND NOT tactics_count_within(p_activity, 'day', p_day::text, 1, p_per_day) THEN
            RAISE EXCEPTION USING ERRCODE = 'TA001', MESSAGE = 'limit_day';
        END IF;
        IF p_budget IS NOT NULL AND NOT tactics_count_within(p_activity, 'budget', '', p_value, p_budget) THEN
            RAISE EXCEPTION USING ERRCODE = 'TA001', MESSAGE = 'limit_budget';
        END IF;
        FOR n IN 1 .. cardinality(p_benefits) LOOP
            UPDATE benefit
            SET remaining = remaining - p_needed[n]
            WHERE activity_code = p_activity AND code = p_benefits[n]
                AND (remaining IS NULL OR remaining >= p_needed[n]);
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'TA001', MESSAGE = 'sold_out', DETAIL = p_benefits[n];
            END IF;
        END LOOP;
        -- Last, for what is sold out is no loss.
        IF p_per_minute IS NOT NULL AND NOT tactics_count_within(p_activity, 'minute', v_minute, 1, p_per_minute) THEN
            RAISE EXCEPTION USING ERRCODE = 'TA001', MESSAGE = 'loss_grants';
        END IF;
        IF p_cost_per_minute IS NOT NULL
            AND NOT tactics_count_within(p_activity, 'minute_cost', v_minute, p_value, p_cost_per_minute) THEN
            RAISE EXCEPTION USING ERRCODE = 'TA001', MESSAGE = 'loss_cost';
        END IF;
    EXCEPTION WHEN SQLSTATE 'TA001' THEN
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
        outcome := SQLERRM;
        detail := v_detail;
        codes := NULL;
        RETURN;
    END;
    outcome := CASE WHEN p_provider IS NULL THEN 'granted' ELSE 'reserved' END;
END
$$;
