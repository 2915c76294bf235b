-- A notice in the outbox is to be delivered to every enabled endpoint that wants its topic: in the transaction that writes
-- it, so that what is taken back is never told. Once a statement; where nobody wants anything, it looks into an empty table.
CREATE FUNCTION tactics_add_deliveries() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM webhook_endpoint WHERE enabled) THEN
        INSERT INTO webhook_delivery (outbox_id, endpoint_id)
        SELECT added.id, endpoint.id
        FROM added JOIN webhook_endpoint AS endpoint
            ON endpoint.enabled AND (added.topic = ANY (endpoint.topics) OR '*' = ANY (endpoint.topics));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_deliveries AFTER INSERT ON outbox REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION tactics_add_deliveries();

-- Marks what is due as expired, tells of each, and marks grants of which nothing is left as no longer usable.
CREATE OR REPLACE FUNCTION tactics_expire_assets(p_user text, p_activity text, p_at timestamptz) RETURNS void
LANGUAGE sql AS $$
    WITH due AS (
        UPDATE asset SET status = 'expired', status_at = p_at
        WHERE user_id = p_user AND activity_code = p_activity AND status IN ('available', 'claimed')
            AND valid_until <= p_at
        RETURNING id, grant_id, line, benefit_code
    )
    INSERT INTO outbox (topic, key, payload)
    SELECT 'tactics.expired', id::text, jsonb_build_object(
        'activity', p_activity, 'user_id', p_user, 'grant_id', grant_id, 'asset_id', id, 'benefit', benefit_code,
        'status', 'expired')
    FROM due ORDER BY grant_id, line;
    UPDATE grant_record SET usable = false
    WHERE user_id = p_user AND activity_code = p_activity AND usable AND NOT EXISTS (
        SELECT FROM asset
        WHERE asset.user_id = p_user AND asset.grant_id = grant_record.id AND status IN ('available', 'claimed'));
$$;
