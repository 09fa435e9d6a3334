import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.state.api.OperatorIdentifier;
import org.apache.flink.state.api.SavepointReader;
import org.apache.flink.state.api.functions.KeyedStateReaderFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.CloseableIterator;
import org.apache.flink.util.Collector;

/**
 * The word count of Flink's DataStream interface: lines, words, keyed by word, one count each in keyed state.
 *
 * <p>It emits nothing, which would only add to its work: the counts are those of the savepoint with which each
 * job ends as soon as all words are counted, without waiting for the next checkpoint.
 */
public final class FlinkWordCount {
    private static final String COUNTER = "count";
    private static final LongAdder COUNTED = new LongAdder();
    private static volatile boolean reading;

    private FlinkWordCount() {}

    public static void main(String[] arguments) throws Exception {
        Path state = Path.of(Run.text("STATE"));
        Configuration configuration = configuration(state);

        // The second job of the same JVM is warm.
        List<String> savepoints = new ArrayList<>();
        for (long job = 0; job < Run.number("JOBS"); job++) {
            savepoints.add(count(configuration, state.resolve("savepoints").toUri().toString()));
        }
        for (String savepoint : savepoints) {
            write(savepoint, configuration, Path.of(Run.text("COUNTS") + "-" + savepoints.indexOf(savepoint)));
        }
        Run.mark("written");
        // Threads of a pool that Flink leaves behind would keep the process.
        System.exit(0);
    }

    /** The settings of the system, with the folders in {@code state}. */
    static Configuration configuration(Path state) throws Exception {
        Map<String, String> settings =
                Run.settings().entrySet().stream()
                        .collect(Collectors.toMap(each -> (String) each.getKey(), each -> (String) each.getValue()));
        settings.put("execution.checkpointing.dir", state.resolve("checkpoints").toUri().toString());
        settings.put("io.tmp.dirs", state.toString());
        return Configuration.fromMap(settings);
    }

    /** Runs a job over the whole topic; returns the path of the savepoint that holds all counts. */
    private static String count(Configuration configuration, String folder) throws Exception {
        COUNTED.reset();
        reading = false;
        KafkaSource<String> lines =
                KafkaSource.<String>builder()
                        .setBootstrapServers(Run.text("SERVERS"))
                        .setTopics(Run.text("TOPIC"))
                        .setGroupId(Run.text("ID"))
                        .setStartingOffsets(OffsetsInitializer.earliest())
                        .setValueOnlyDeserializer(new SimpleStringSchema())
                        .build();
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        environment
                .fromSource(lines, WatermarkStrategy.noWatermarks(), "lines")
                .flatMap(new Split())
                .keyBy(word -> word, Types.STRING)
                .process(new Count())
                .uid(COUNTER);

        JobClient job = environment.executeAsync("word count");
        long words = Run.number("WORDS");
        Run.await(() -> reading || hasEnded(job));
        Run.mark("first");
        Run.await(() -> COUNTED.sum() >= words || hasEnded(job));
        String savepoint = job.stopWithSavepoint(false, folder, SavepointFormatType.NATIVE).get();
        Run.mark("durable");
        job.getJobExecutionResult().get();
        return savepoint;
    }

    private static boolean hasEnded(JobClient job) {
        return job.getJobExecutionResult().isDone();
    }

    /** Writes the counts of a savepoint, {@code word TAB count} a line. */
    private static void write(String savepoint, Configuration configuration, Path file) throws Exception {
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        var counts =
                SavepointReader.read(environment, savepoint)
                        .readKeyedState(
                                OperatorIdentifier.forUid(COUNTER),
                                new ReadCount(),
                                Types.STRING,
                                Types.TUPLE(Types.STRING, Types.LONG));
        try (CloseableIterator<Tuple2<String, Long>> found = counts.executeAndCollect();
                BufferedWriter writer = Files.newBufferedWriter(file)) {
            while (found.hasNext()) {
                Tuple2<String, Long> count = found.next();
                writer.write(count.f0 + "\t" + count.f1 + "\n");
            }
        }
    }

    private static ValueStateDescriptor<Long> descriptor() {
        return new ValueStateDescriptor<>("count", Types.LONG);
    }

    /** Words of a line. */
    public static final class Split implements FlatMapFunction<String, String> {
        private static final long serialVersionUID = 1L;

        @Override
        public void flatMap(String line, Collector<String> words) {
            if (!reading) {
                reading = true;
            }
            for (String word : line.split(" ")) {
                words.collect(word);
            }
        }
    }

    /** Count of a word. */
    public static final class Count extends KeyedProcessFunction<String, String, Void> {
        private static final long serialVersionUID = 1L;
        private transient ValueState<Long> count;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(descriptor());
        }

        @Override
        public void processElement(String word, Context context, Collector<Void> out) throws Exception {
            Long former = count.value();
            count.update(former == null ? 1L : former + 1L);
            COUNTED.increment();
        }
    }

    /** Reads what {@link Count} kept. */
    public static final class ReadCount extends KeyedStateReaderFunction<String, Tuple2<String, Long>> {
        private static final long serialVersionUID = 1L;
        private transient ValueState<Long> count;

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(descriptor());
        }

        @Override
        public void readKey(String word, Context context, Collector<Tuple2<String, Long>> out) throws Exception {
            out.collect(Tuple2.of(word, count.value()));
        }
    }
}
