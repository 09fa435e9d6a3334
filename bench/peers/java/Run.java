import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Properties;
import java.util.function.BooleanSupplier;

/** What a run is told by variables PEER_*, and the marks by which it tells how far it is. */
final class Run {
    private static final int POLL_MS = 10;

    private Run() {}

    /** The value of PEER_{@code name}. */
    static String text(String name) {
        String value = System.getenv("PEER_" + name);
        if (value == null) {
            throw new IllegalStateException("PEER_" + name + " is not set");
        }
        return value;
    }

    /** The value of PEER_{@code name}, a number. */
    static long number(String name) {
        return Long.parseLong(text(name));
    }

    /** The settings of the system: lines {@code name=value}. */
    static Properties settings() throws IOException {
        Properties settings = new Properties();
        try (Reader lines = Files.newBufferedReader(Path.of(text("SETTINGS")))) {
            settings.load(lines);
        }
        return settings;
    }

    /** Tells that a moment of the run has come; the pipe's reader takes the time. */
    static void mark(String moment) {
        try {
            Files.writeString(Path.of(text("MARKS")), moment + "\n", StandardOpenOption.WRITE);
        } catch (IOException error) {
            throw new IllegalStateException("nobody reads the marks", error);
        }
    }

    /** Waits to be ended, so that CPU time and memory of this process can be read after its last mark. */
    static void rest() throws InterruptedException {
        Thread.sleep(Long.MAX_VALUE);
    }

    /** Returns once {@code condition} holds. */
    static void await(BooleanSupplier condition) throws InterruptedException {
        while (!condition.getAsBoolean()) {
            Thread.sleep(POLL_MS);
        }
    }
}
