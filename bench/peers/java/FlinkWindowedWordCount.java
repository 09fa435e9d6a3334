import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * The word count of Flink's DataStream interface per word and tumbling window of event time: one count each in keyed state.
 *
 * <p>A window is emitted once, when the watermark passes its end, and its state is then removed: the counts are those that were sent
 * to a topic. The watermark of a partition is the time of its last record, because times ascend within a partition; no lateness is
 * allowed.
 */
public final class FlinkWindowedWordCount {
    private static final LongAdder EMITTED = new LongAdder();
    private static volatile boolean reading;

    private FlinkWindowedWordCount() {}

    public static void main(String[] arguments) throws Exception {
        Path state = Path.of(Run.text("STATE"));
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment(FlinkWordCount.configuration(state));
        KafkaSource<String> lines =
                KafkaSource.<String>builder()
                        .setBootstrapServers(Run.text("SERVERS"))
                        .setTopics(Run.text("TOPIC"))
                        .setGroupId(Run.text("ID"))
                        .setStartingOffsets(OffsetsInitializer.earliest())
                        .setValueOnlyDeserializer(new SimpleStringSchema())
                        .build();
        KafkaSink<Tuple3<String, Long, Long>> counts =
                KafkaSink.<Tuple3<String, Long, Long>>builder()
                        .setBootstrapServers(Run.text("SERVERS"))
                        .setRecordSerializer(new Records(Run.text("ID") + "-counts"))
                        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                        .build();
        environment
                .fromSource(lines, WatermarkStrategy.forMonotonousTimestamps(), "lines")
                .flatMap(new Split())
                .keyBy(word -> word, Types.STRING)
                .window(TumblingEventTimeWindows.of(Duration.ofSeconds(Run.number("WINDOW_S"))))
                .allowedLateness(Duration.ZERO)
                .aggregate(new Count(), new Emit())
                .sinkTo(counts);

        JobClient job = environment.executeAsync("windowed word count");
        long words = Run.number("WORDS");
        Run.await(() -> reading || hasEnded(job));
        Run.mark("first");
        // The last window is emitted once each partition has a record after its end.
        Run.await(() -> EMITTED.sum() >= words || hasEnded(job));
        // The savepoint waits until the topic of the counts has acknowledged all of them.
        job.stopWithSavepoint(false, state.resolve("savepoints").toUri().toString(), SavepointFormatType.NATIVE).get();
        Run.mark("durable");
        Run.rest();
    }

    private static boolean hasEnded(JobClient job) {
        return job.getJobExecutionResult().isDone();
    }

    /** Words of a line. */
    public static final class Split implements FlatMapFunction<String, String> {
        private static final long serialVersionUID = 1L;

        @Override
        public void flatMap(String line, Collector<String> words) {
            if (!reading) {
                reading = true;
            }
            // The empty lines at the end of the topic have a time and no word.
            if (line.isEmpty()) {
                return;
            }
            for (String word : line.split(" ")) {
                words.collect(word);
            }
        }
    }

    /** Count of a word in a window, kept word by word. */
    public static final class Count implements AggregateFunction<String, Long, Long> {
        private static final long serialVersionUID = 1L;

        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(String word, Long count) {
            return count + 1L;
        }

        @Override
        public Long getResult(Long count) {
            return count;
        }

        @Override
        public Long merge(Long one, Long other) {
            return one + other;
        }
    }

    /** Adds word and beginning of the window to a count. */
    public static final class Emit
            extends ProcessWindowFunction<Long, Tuple3<String, Long, Long>, String, TimeWindow> {
        private static final long serialVersionUID = 1L;

        @Override
        public void process(
                String word, Context context, Iterable<Long> counts, Collector<Tuple3<String, Long, Long>> out) {
            Long count = counts.iterator().next();
            out.collect(Tuple3.of(word, context.window().getStart(), count));
            EMITTED.add(count);
        }
    }

    /** Records of the topic of the counts: the key is the word, then the beginning of the window in 8 bytes. */
    public static final class Records implements KafkaRecordSerializationSchema<Tuple3<String, Long, Long>> {
        private static final long serialVersionUID = 1L;
        private final String topic;

        Records(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                Tuple3<String, Long, Long> row, KafkaSinkContext context, Long timestamp) {
            byte[] word = row.f0.getBytes(StandardCharsets.UTF_8);
            byte[] key = ByteBuffer.allocate(word.length + Long.BYTES).put(word).putLong(row.f1).array();
            byte[] value = ByteBuffer.allocate(Long.BYTES).putLong(row.f2).array();
            return new ProducerRecord<>(topic, key, value);
        }
    }
}
