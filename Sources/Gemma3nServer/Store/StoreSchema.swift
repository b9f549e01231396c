internal import GRDB

/// The tables, and how older ones become them. A migration that was released is never changed: a later one follows it.
enum StoreSchema {
    static let migrator: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE conversation (
                        id TEXT PRIMARY KEY NOT NULL,
                        createdAt INTEGER NOT NULL,
                        metadata TEXT NOT NULL,
                        -- Counts up over conversations and responses: what is old makes room first.
                        usedAt INTEGER NOT NULL
                    ) STRICT;
                    CREATE INDEX conversationUse ON conversation(usedAt);

                    CREATE TABLE item (
                        number INTEGER PRIMARY KEY AUTOINCREMENT,
                        conversation TEXT NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
                        id TEXT NOT NULL,
                        json TEXT NOT NULL,
                        UNIQUE (conversation, id)
                    ) STRICT;

                    CREATE INDEX itemOrder ON item(conversation, number);

                    CREATE TABLE response (
                        id TEXT PRIMARY KEY NOT NULL,
                        usedAt INTEGER NOT NULL,
                        status TEXT NOT NULL,
                        -- Whether clients may ask for it. Hidden ones are under way for the sake of a conversation, or others refer to them.
                        isVisible INTEGER NOT NULL,
                        isBackground INTEGER NOT NULL,
                        -- As clients are told.
                        response TEXT NOT NULL,
                        -- Input items.
                        items TEXT NOT NULL,
                        previous TEXT,
                        conversation TEXT,
                        -- The number of the conversation's last item when it was asked.
                        lastItem INTEGER NOT NULL,
                        -- Of those answered in the background: the request's body until they end, and the events told so far when they did.
                        request TEXT,
                        events TEXT
                    ) STRICT;
                    CREATE INDEX responseUse ON response(usedAt);
                    CREATE INDEX responseVisible ON response(isVisible);
                    CREATE INDEX responsePrevious ON response(previous) WHERE previous IS NOT NULL;
                    CREATE INDEX responseUnderWay ON response(conversation) WHERE status IN ('queued', 'in_progress');
                    """)
        }
        return migrator
    }()
}
